"""Parts that a model folder may name, and the arguments it may pass to them."""

import importlib
import inspect
import typing
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Callable, Iterator

import pydantic

from speechbrain_can.io.files import InputError

# Packages register parts for model folders under this entry point: "mine =
# my_package.lobes:MyEncoder" is the part my_package.lobes.MyEncoder.
ENTRY_POINTS = "speechbrain_can.parts"

OURS = {
    "alignment.aligners.ctc": "CTCAligner",
    "alignment.aligners.equal": "EqualSegments",
    "alignment.aligners.sphinx": "PocketsphinxAligner",
    "alignment.recognizers.sphinx": "PocketsphinxTranscriber",
    "alignment.recognizers.whisper": "WhisperTranscriber",
    "encoders.ctc": "HuggingFaceCTC",
    "encoders.speech": "PretrainedFrames",
    "encoders.text": "PretrainedWords StoredWords",
    "encoders.whisper": "TrimmedWhisper WhisperWords",
    "features.egemaps": "SegmentEgemaps",
    "features.hidden": "SegmentHidden SegmentWhisper",
    "features.joined": "JoinedFeatures",
    "features.normalization": "GlobalNormalization NoNormalization",
    "features.samples": "SegmentSamples",
    "features.segments": "aligned_segments equal_segments whole_utterance",
    "features.spectral": "SegmentFbank SegmentMFCC",
    "lobes.attention": "AudioAttention CrossAttention TextAttention",
    "lobes.audio": (
        "FramesAsStored LayerWeights UtteranceFrameBLSTM WordEncoder WordFrameBLSTM"
    ),
    "lobes.classifiers": "CrossClassifier SingleClassifier UncrossedClassifier",
    "lobes.convolutions": "FrameECAPA SubsampledFrameBLSTM",
    "lobes.learned_alignment": "LearnedAlignment WordPairClassifier",
    "lobes.mixup": "Mixup",
    "lobes.multi_hop": "MultiHopAttention",
    "lobes.network": "EmotionNetwork StoredTextNetwork",
    "lobes.pooling": "AttentionPooling MeanPooling StatisticsPooling",
    "lobes.projection": "JoinedFrames ProjectedFrames ProjectedWords",
    "lobes.subwords": "SubwordEmbedding",
    "lobes.text": "WordBLSTM WordEmbedding",
}
# SpeechBrain's wrappers of pretrained encoders
INTEGRATIONS = {
    "hubert": "HuBERT",
    "wav2vec2": "Wav2Vec2",
    "wavlm": "WavLM",
    "whisper": "Whisper",
}
WRAPPERS = "speechbrain.integrations.huggingface."
PARTS = {
    f"{package}{module}.{name}"
    for package, modules in (
        ("speechbrain_can.", OURS),
        (WRAPPERS, INTEGRATIONS),
    )
    for module, names in modules.items()
    for name in names.split()
}
# Parts that load pretrained weights when they are built
PRETRAINED = ("speechbrain_can.encoders.", WRAPPERS)

# Limits of numbers, by the name of their argument. They keep the memory and time of
# a prediction in proportion to the weights that the folder contains.
SHARE = (0, 1)
FEW = (1, 100)
MILLISECONDS = (1, 1000)
FEATURES = (1, 2**20)  # all layers of a large encoder have 100,000
LIMITS = {
    "align_weight": (0, 100),
    "alpha": (0, 100),
    "batch_size": FEW,
    "channels": (1, 8192),
    "dilations": FEW,
    "dropout": SHARE,
    "heads": (1, 1024),
    "hop_length": MILLISECONDS,
    "hops": FEW,
    "input_size": FEATURES,
    "kernel_sizes": FEW,
    "layers": (1, 1000),
    "mismatched_share": SHARE,
    "n_classes": (2, 1000),
    "n_mels": (1, 1024),
    "n_mfcc": (1, 1024),
    "overlap": SHARE,
    "res2net_scale": FEW,
    "sample_rate": (4000, 192_000),
    "sampling_rate": (4000, 192_000),
    "shortest": (0.01, 10),
    "size": FEATURES,
    "sizes": FEATURES,
    "step": (0.02, 30),
    "subsampling": FEW,
    "text_size": FEATURES,
    "trained_layers": (0, 1000),
    "transcript_threshold": (-1000, 1000),
    "vocab_size": (1, 2**20),
    "win_length": MILLISECONDS,
    "word_threshold": (-1000, 1000),
}
SIZES = (1, 2**16)  # numbers of other arguments
LONGEST_LIST = 100


def find_part(name: str) -> Callable:
    """Import a registered part.

    Raises
    ------
    InputError
        If it is not registered.

    Example
    -------
    >>> find_part("speechbrain_can.lobes.pooling.MeanPooling")
    <class 'speechbrain_can.lobes.pooling.MeanPooling'>
    """
    if name not in PARTS:
        plugins = {
            point.value.replace(":", "."): point
            for point in entry_points(group=ENTRY_POINTS)
        }
        if name not in plugins:
            raise InputError(
                f"{name} is not a registered part. Install the package that "
                f"registers it with the entry point {ENTRY_POINTS}"
            )
        return plugins[name].load()
    module, _, own_name = name.rpartition(".")
    return getattr(importlib.import_module(module), own_name)


def check_arguments(
    part: Callable, arguments: dict[str, Any], complete: bool
) -> None:
    """Validate the arguments of a part against its signature and ``LIMITS``.

    ``complete`` also requires the arguments without a default. Raises
    ``InputError`` with the name of the argument.
    """
    try:
        _schema(part, complete)(**arguments)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(f"argument {name}: {first['msg']}") from error


@lru_cache(maxsize=None)
def _schema(part: Callable, complete: bool) -> type[pydantic.BaseModel]:
    """Return the schema of the arguments of a part."""
    fields = {}
    for name, hint, default in _parameters(part):
        check = pydantic.AfterValidator(_within(*LIMITS.get(name, SIZES)))
        required = complete and default is inspect.Parameter.empty
        fields[name] = (Annotated[hint, check], ... if required else None)
    return pydantic.create_model(
        "Arguments",
        __config__=pydantic.ConfigDict(
            extra="forbid",
            strict=True,
            arbitrary_types_allowed=True,
            protected_namespaces=(),
        ),
        **fields,
    )


def _parameters(part: Callable) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and default of the arguments of a part.

    A class that passes unknown arguments on to its base has those of the base.
    """
    classes = getattr(part, "__mro__", ())
    for function in [
        vars(c)["__init__"] for c in classes if "__init__" in vars(c)
    ] or [part]:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
        for each in parameters:
            if each.name != "self" and each.kind is each.POSITIONAL_OR_KEYWORD:
                yield (
                    each.name,
                    hints.get(each.name, _type_of(each)),
                    each.default,
                )
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            return


def _type_of(parameter: inspect.Parameter) -> Any:
    """Return the type of a parameter without a hint, from its default."""
    if isinstance(parameter.default, (bool, int, float)):
        return type(parameter.default)
    return str | Callable | None


def _within(least: float, most: float) -> Callable[[Any], Any]:
    """Return a validator of numbers and of lists of numbers."""

    def check(value):
        if isinstance(value, (list, tuple)):
            if len(value) > LONGEST_LIST:
                raise ValueError(f"has more than {LONGEST_LIST} items")
            for each in value:
                check(each)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            if not least <= value <= most:
                raise ValueError(f"{value} is not between {least} and {most}")
        return value

    return check
