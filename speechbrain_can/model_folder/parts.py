"""Parts that a model folder may name, and the arguments it may pass to them."""

import importlib
import inspect
import typing
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Callable, Iterator

import pydantic

from speechbrain_can.io.files import InputError

# Packages register parts for model folders under this entry point: "mine =
# my_package.lobes:MyEncoder" is the part my_package.lobes.MyEncoder.
ENTRY_POINTS = "speechbrain_can.parts"

WRAPPERS = "speechbrain.integrations.huggingface."
OURS = "speechbrain_can."
FEATURES = (
    "features.egemaps.SegmentEgemaps",
    "features.hidden.SegmentHidden",
    "features.hidden.SegmentWhisper",
    "features.samples.SegmentSamples",
    "features.spectral.SegmentFbank",
    "features.spectral.SegmentMFCC",
)
FRAME_ENCODERS = (
    "encoders.speech.PretrainedFrames",
    "lobes.audio.FrameBLSTM",
    "lobes.audio.FramesAsStored",
    "lobes.audio.LayerWeights",
    "lobes.convolutions.FrameECAPA",
    "lobes.convolutions.SubsampledFrameBLSTM",
    "lobes.projection.JoinedFrames",
    "lobes.projection.ProjectedFrames",
)
NETWORKS = ("lobes.network.EmotionNetwork", "lobes.network.StoredTextNetwork")
# Parts by the top-level key, the module or the argument that they may be a value of
SLOTS = {
    "aligner": (
        "alignment.aligners.ctc.CTCAligner",
        "alignment.aligners.equal.EqualSegments",
        "alignment.aligners.sphinx.PocketsphinxAligner",
    ),
    "transcriber": (
        "alignment.recognizers.sphinx.PocketsphinxTranscriber",
        "alignment.recognizers.whisper.WhisperTranscriber",
    ),
    "compute_features": ("features.joined.JoinedFeatures", *FEATURES),
    "segment": (
        "features.segments.aligned_segments",
        "features.segments.equal_segments",
        "features.segments.whole_utterance",
    ),
    "conditioning": ("features.conditioning.SpeechConditioning",),
    "modules.normalize": (
        "features.normalization.GlobalNormalization",
        "features.normalization.NoNormalization",
        "features.normalization.SpeakerAdaptation",
    ),
    "modules.model": ("lobes.network.Ensemble", *NETWORKS),
    "members": NETWORKS,  # of Ensemble
    "text_encoder": ("lobes.audio.WordEncoder", "lobes.text.WordBLSTM"),
    "embedding": (
        "encoders.text.PretrainedWords",
        "encoders.text.StoredWords",
        "encoders.whisper.WhisperWords",
        "lobes.projection.ProjectedWords",
        "lobes.subwords.SubwordEmbedding",
        "lobes.text.WordEmbedding",
    ),
    "audio_encoder": (
        "lobes.audio.UtteranceFrameBLSTM",
        "lobes.audio.WordEncoder",
        "lobes.audio.WordFrameBLSTM",
    ),
    "frame_encoder": FRAME_ENCODERS,
    "frame_encoders": FRAME_ENCODERS,
    "fusion": (
        "lobes.attention.AudioAttention",
        "lobes.attention.CrossAttention",
        "lobes.attention.TextAttention",
        "lobes.learned_alignment.LearnedAlignment",
        "lobes.multi_hop.MultiHopAttention",
    ),
    "classifier": (
        "lobes.classifiers.CrossClassifier",
        "lobes.classifiers.SingleClassifier",
        "lobes.classifiers.UncrossedClassifier",
        "lobes.dimensions.DimensionClassifier",
        "lobes.learned_alignment.WordPairClassifier",
        "lobes.mixup.Mixup",
    ),
    "pooling": (
        "lobes.pooling.AttentionPooling",
        "lobes.pooling.MeanPooling",
        "lobes.pooling.StatisticsPooling",
    ),
    "parts": FEATURES,  # of JoinedFeatures
    "model": ("encoders.ctc.HuggingFaceCTC",),  # of CTCAligner
    "build": (
        "encoders.whisper.TrimmedWhisper",
        *(
            f"{WRAPPERS}{name}"
            for name in (
                *("hubert.HuBERT", "wav2vec2.Wav2Vec2", "wavlm.WavLM"),
                "whisper.Whisper",
            )
        ),
    ),
}
SLOTS = {
    slot: {n if n.startswith(WRAPPERS) else OURS + n for n in names}
    for slot, names in SLOTS.items()
}
PARTS = set().union(*SLOTS.values())
# Callables with preset arguments (!name:); all others are objects (!new:)
CALLABLES = SLOTS["segment"] | SLOTS["pooling"] | SLOTS["build"]
# Parts that load pretrained weights when they are built
PRETRAINED = f"{OURS}encoders."
SAMPLES = f"{OURS}features.samples.SegmentSamples"
FOR_SAMPLES = f"{OURS}encoders.speech.PretrainedFrames"

# Limits of numbers, by the name of their argument. They keep the memory and time of
# a prediction in proportion to the weights that the folder contains.
SHARE = (0, 1)
FEW = (1, 100)
SCORES = (-1000, 1000)
STORED = (1, 2**20)  # all layers of a large encoder have 100,000 features
LIMITS = {
    "GlobalNormalization.size": STORED,
    "SpeakerAdaptation.size": STORED,
    "align_weight": (0, 100),
    "alpha": (0, 100),
    "batch_size": FEW,
    "below": (0, 100),
    "channels": (1, 2048),
    "dilations": FEW,
    "dropout": SHARE,
    "emotion_strength": (0, 1000),
    "emotion_weight": (0, 1000),
    "heads": (1, 1024),
    "hop_length": (5, 100),
    "hops": FEW,
    "input_size": STORED,
    "kernel_sizes": FEW,
    "layers": (1, 1000),
    "level": (-100, 0),
    "margin": (0, 10),
    "mismatched_share": SHARE,
    "n_classes": (2, 1000),
    "n_dimensions": FEW,
    "n_mels": (1, 256),
    "n_mfcc": (1, 256),
    "overlap": SHARE,
    "pause": (0, 10),
    "res2net_scale": (1, 32),
    "sample_rate": (4000, 96_000),
    "sampling_rate": (4000, 96_000),
    "shortest": (0.01, 1),
    "sizes": STORED,
    "step": (0.02, 30),
    "subsampling": FEW,
    "strength": (0.01, 1000),
    "text_size": STORED,
    "trained_layers": (0, 1000),
    "transcript_threshold": SCORES,
    "vocab_size": (1, 2**20),
    "win_length": (5, 100),
    "word_threshold": SCORES,
}
SIZES = (1, 2**13)  # numbers of other arguments
LONGEST_LIST = 16


ANY = "*"  # slot of the arguments of plugins


def check_slot(name: str, kind: str, slot: str) -> None:
    """Raise an ``InputError`` if a part may not be the value of a slot.

    Parts of plugins may be values of all slots.
    """
    if name not in PARTS:
        if name in _plugins():
            return
        raise InputError(
            f"{name} is not a registered part. Install the package that registers "
            f"it with the entry point {ENTRY_POINTS}"
        )
    if slot != ANY and name not in SLOTS.get(slot, ()):
        raise InputError(f"{name} cannot be used as {slot}")
    if (kind == "name") != (name in CALLABLES):
        raise InputError(f"{name} cannot be used with !{kind}:")


def find_part(name: str) -> Callable:
    """Import a registered part.

    Example
    -------
    >>> find_part("speechbrain_can.lobes.pooling.MeanPooling")
    <class 'speechbrain_can.lobes.pooling.MeanPooling'>
    """
    if name not in PARTS:
        return _plugins()[name].load()
    module, _, own_name = name.rpartition(".")
    return getattr(importlib.import_module(module), own_name)


def _plugins() -> dict[str, EntryPoint]:
    """Return the entry points of plugins by the names of their parts."""
    return {
        point.value.replace(":", "."): point
        for point in entry_points(group=ENTRY_POINTS)
    }


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
        if name in fields:
            continue  # of a base, whose subclass comes first
        limits = LIMITS.get(f"{part.__name__}.{name}", LIMITS.get(name, SIZES))
        required = complete and default is inspect.Parameter.empty
        fields[name] = (
            Annotated[hint, pydantic.AfterValidator(_within(*limits))],
            ... if required else None,
        )
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
            named = each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
            if each.name != "self" and named:
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
