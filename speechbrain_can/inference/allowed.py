"""Which classes and functions the settings of a model folder may name.

Authors
 * The speechbrain-can developers 2026
"""

import importlib
import inspect

# Modules, or those below them, whose own classes and functions may be named. Not all
# of SpeechBrain's lobes: MSTacotron2 unpickles a file that its settings name, fairseq
# one that it downloads. Nor SpeechBrainCTC, which loads settings of another folder.
MODULES = (
    *("speechbrain_can.alignment.ctc", "speechbrain_can.alignment.equal"),
    *(
        "speechbrain_can.alignment.sphinx",
        "speechbrain_can.alignment.transcribe",
    ),
    *("speechbrain_can.features.egemaps", "speechbrain_can.features.joined"),
    *(
        "speechbrain_can.features.normalization",
        "speechbrain_can.features.samples",
    ),
    *("speechbrain_can.features.segments", "speechbrain_can.features.spectral"),
    *(
        "speechbrain_can.integrations.hidden",
        "speechbrain_can.integrations.speech",
    ),
    *(
        "speechbrain_can.integrations.text",
        "speechbrain_can.integrations.whisper",
    ),
    "speechbrain_can.lobes",
    *("speechbrain.dataio.encoder", "speechbrain.lobes.features"),
    *("speechbrain.lobes.models.convolution", "speechbrain.lobes.models.CRDNN"),
    *(
        "speechbrain.lobes.models.ECAPA_TDNN",
        "speechbrain.lobes.models.Xvector",
    ),
    "speechbrain.nnet",
    # not all of torch.nn: torch.nn.attention imports what it is told to
    "torch.nn.modules",
    *(
        f"speechbrain.integrations.huggingface.{name}"
        for name in ("hubert", "wav2vec2", "wavlm", "whisper", "textencoder")
    ),
)
OURS = "speechbrain_can"
LAYERS = "torch.nn"  # where torch has the layers of torch.nn.modules
PRETRAINER = "speechbrain.utils.parameter_transfer.Pretrainer"
PACKED_PRETRAINER = "speechbrain_can.inference.packed.PackedPretrainer"
KNOWN = (
    "speechbrain_can.integrations.ctc.HuggingFaceCTC",
    PRETRAINER,
    PACKED_PRETRAINER,
)


# What they do not know they hand on to transformers, which unpickles if told to
HAND_ON = ("speechbrain.integrations", "speechbrain_can.integrations")


def why_not_allowed(name, keywords=()):
    """Why settings may not name a class or function; None if they may.

    ``keywords`` are those that it is given.

    Example
    -------
    >>> why_not_allowed("torch.nn.Linear"), why_not_allowed("os.system")
    (None, 'os.system is no part that is known here')
    """
    module_name, _, own_name = name.rpartition(".")
    within = [f"{module_name}.".startswith(f"{known}.") for known in MODULES]
    if not (any(within) or module_name == LAYERS or name in KNOWN):
        return f"{name} is no part that is known here"
    if any(part.startswith("_") for part in name.split(".")):
        return f"{name} is private"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        return f"{name} cannot be imported ({error})"
    found = vars(module).get(own_name)
    # of others the parts alone: torch.nn.modules has functions that change all parts
    ours = inspect.isfunction(found) and module_name.startswith(OURS)
    if not (inspect.isclass(found) or ours):
        return f"{name} is no class, and no function of {OURS}"
    # what a module has imported itself is not its own
    if not _is_own(found, module_name):
        return f"{name} is not defined there"
    unknown = set(keywords) - _arguments(found)
    if unknown and name.startswith(HAND_ON):
        return f"{name} has no argument {', '.join(sorted(unknown))}"
    return None


def _arguments(found):
    """Names of the arguments of a function, or of a class and those it is made of."""
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
