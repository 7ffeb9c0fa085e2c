"""Allow-list of the classes and functions that a model folder may name."""

import importlib
import inspect
from typing import Callable, Iterable

# Modules and packages whose own classes and functions may be named. The list excludes
# some of SpeechBrain's lobes: MSTacotron2 unpickles a file named in its settings, and
# fairseq one that it downloads. It also excludes SpeechBrainCTC, which loads the
# settings of another folder.
MODULES = (
    "speechbrain_can.alignment.aligners.ctc",
    "speechbrain_can.alignment.aligners.equal",
    "speechbrain_can.alignment.aligners.sphinx",
    "speechbrain_can.alignment.recognizers.sphinx",
    "speechbrain_can.alignment.recognizers.whisper",
    "speechbrain_can.encoders.speech",
    "speechbrain_can.encoders.text",
    "speechbrain_can.encoders.whisper",
    "speechbrain_can.features.egemaps",
    "speechbrain_can.features.hidden",
    "speechbrain_can.features.joined",
    "speechbrain_can.features.normalization",
    "speechbrain_can.features.samples",
    "speechbrain_can.features.segments",
    "speechbrain_can.features.spectral",
    "speechbrain_can.lobes",
    "speechbrain.dataio.encoder",
    "speechbrain.integrations.huggingface.hubert",
    "speechbrain.integrations.huggingface.textencoder",
    "speechbrain.integrations.huggingface.wav2vec2",
    "speechbrain.integrations.huggingface.wavlm",
    "speechbrain.integrations.huggingface.whisper",
    "speechbrain.lobes.features",
    "speechbrain.lobes.models.convolution",
    "speechbrain.lobes.models.CRDNN",
    "speechbrain.lobes.models.ECAPA_TDNN",
    "speechbrain.lobes.models.Xvector",
    "speechbrain.nnet",
    # Not all of torch.nn: torch.nn.attention imports modules by name.
    "torch.nn.modules",
)
OURS = "speechbrain_can"
LAYERS = "torch.nn"  # torch re-exports the layers of torch.nn.modules here
PRETRAINER = "speechbrain_can.model_folder.read.PackedPretrainer"

KNOWN = (
    "speechbrain_can.encoders.ctc.HuggingFaceCTC",
    PRETRAINER,
)

# Their classes pass unknown arguments on to transformers, which can unpickle files.
FORWARDING = ("speechbrain.integrations", "speechbrain_can.encoders")


def why_not_allowed(name: str, keywords: Iterable[str] = ()) -> str | None:
    """Return the reason why settings must not name an object, or None if they may.

    ``keywords`` are the names of the arguments that the settings pass.

    Example
    -------
    >>> why_not_allowed("torch.nn.Linear"), why_not_allowed("os.system")
    (None, 'os.system is not an allowed part')
    """
    module_name, _, own_name = name.rpartition(".")
    within = [f"{module_name}.".startswith(f"{known}.") for known in MODULES]
    if not (any(within) or module_name == LAYERS or name in KNOWN):
        return f"{name} is not an allowed part"
    if any(part.startswith("_") for part in name.split(".")):
        return f"{name} is private"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        return f"{name} cannot be imported ({error})"
    found = vars(module).get(own_name)
    # Functions only of this package: torch.nn.modules has some with global effects.
    ours = inspect.isfunction(found) and module_name.startswith(OURS)
    if not (inspect.isclass(found) or ours):
        return f"{name} is neither a class nor a function of {OURS}"
    # Exclude names that a module merely imports.
    if not _is_own(found, module_name):
        return f"{name} is not defined in that module"
    unknown = set(keywords) - _arguments(found)
    if unknown and name.startswith(FORWARDING):
        return f"{name} has no argument {', '.join(sorted(unknown))}"
    return None


def _arguments(found: Callable) -> set[str]:
    """Return the argument names of a function, or of a class and its bases."""
    functions = [
        vars(each).get("__init__", object)
        for each in getattr(found, "__mro__", ())
    ]
    return {
        name
        for function in functions or [found]
        if function is not object
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def _is_own(found, module_name):
    # torch.nn.Linear is torch.nn.modules.linear.Linear
    if module_name == LAYERS:
        return found.__module__.startswith("torch.nn.modules.")
    return found.__module__ == module_name
