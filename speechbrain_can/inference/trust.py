"""What a model folder may do: build known parts, and nothing else.

HyperPyYAML can call any function that can be imported, so that the settings of a
stranger's folder are a program. They are read here before anything is built: each
part must be one of SpeechBrain's, torch's or this package's, named by the module that
defines it. Parameters are in safetensors; those of older folders are read by
``torch.load`` with ``weights_only``, the default of every torch that this package
admits.

Authors
 * The speechbrain-can developers 2026
"""

import importlib
import inspect
import math
import re
import zipfile
from pathlib import Path

import torch
import yaml
from hyperpyyaml import resolve_references
from torch.utils._python_dispatch import TorchDispatchMode

from speechbrain_can.files import InputError

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
    "speechbrain_can.inference.packed",
    *(
        "speechbrain_can.integrations.hidden",
        "speechbrain_can.integrations.speech",
    ),
    *(
        "speechbrain_can.integrations.text",
        "speechbrain_can.integrations.whisper",
    ),
    "speechbrain_can.lobes",
    *("speechbrain.dataio.encoder", "speechbrain.utils.parameter_transfer"),
    *("speechbrain.lobes.features", "speechbrain.lobes.models.convolution"),
    *("speechbrain.lobes.models.CRDNN", "speechbrain.lobes.models.ECAPA_TDNN"),
    *("speechbrain.lobes.models.Xvector", "speechbrain.nnet"),
    # not all of torch.nn: torch.nn.attention imports what it is told to
    "torch.nn.modules",
    *(
        f"speechbrain.integrations.huggingface.{name}"
        for name in ("hubert", "wav2vec2", "wavlm", "whisper", "textencoder")
    ),
)
LAYERS = "torch.nn"  # where torch has the layers of torch.nn.modules
KNOWN = ("speechbrain_can.integrations.ctc.HuggingFaceCTC",)
# transformers then runs what a model on the hub brings along
RUNS_CODE = "trust_remote_code"
BUILDING = ("!new:", "!name:")
OTHER = ("!ref", "!copy", "!tuple")
# What <part.attribute> becomes; as written it is refused
RESOLVED = ("!apply:getattr",)
PLAIN = "tag:yaml.org,2002:"
LARGEST_SETTINGS = 2**20  # bytes
LARGEST_NUMBER = 2**20  # a layer of as many units is no mistake
LARGEST_PARAMETERS = 2**33  # bytes, once unpacked
LARGEST_TENSOR = 2**32  # bytes
LARGEST_NETWORK = 2**35  # bytes, of all tensors that are made as it is built


class UntrustedError(InputError):
    """A model folder that wants more than to build a model."""


def check_model_folder(path, folder=None):
    """Refuses settings that would do more than build a model.

    What a caller overrides is the caller's, and not looked at.

    Arguments
    ---------
    path : str or Path
        The hparams file.
    folder : Path or None
        Where the parameters are, if not beside it.

    Raises
    ------
    UntrustedError
        With the line of what is not allowed.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST_SETTINGS:
        raise UntrustedError(f"{path} has more than {LARGEST_SETTINGS} bytes")
    text = path.read_text(encoding="utf-8")
    # first as written: to resolve references reads files that it includes
    _check_text(path, text)
    _check_text(path, resolve_references(text).read(), RESOLVED)
    for pattern in ("*.ckpt", "*.safetensors"):
        for parameters in (folder or path.parent).glob(pattern):
            _check_parameters(parameters)
    for file in folder.iterdir() if folder else ():
        _check_place(file, folder.resolve())


class LimitedMemory(TorchDispatchMode):
    """Within it, a tensor of more than 4 GiB is refused before it is made.

    The settings of a stranger's folder say how large a network is. Raises
    ``UntrustedError``, also for 32 GiB of tensors in all.
    """

    def __init__(self):
        super().__init__()
        self.made = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Called for every operation of torch's."""
        kwargs = kwargs or {}
        # what makes a tensor, such as empty, takes its size first
        sizes = args[0] if args and isinstance(args[0], (list, tuple)) else ()
        made = sizes and all(isinstance(size, int) for size in sizes)
        if made and kwargs.get("device") != torch.device("meta"):
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            size = math.prod(sizes) * dtype.itemsize
            self.made += size
            if size > LARGEST_TENSOR or self.made > LARGEST_NETWORK:
                raise UntrustedError(
                    f"the settings build a tensor of {size} bytes, {self.made} with "
                    f"those before it; {LARGEST_TENSOR} are allowed, and "
                    f"{LARGEST_NETWORK} in all. Only if you trust who made the "
                    "model: from_hparams(..., run_code_of_the_model_folder=True)"
                )
        return function(*args, **kwargs)


def _check_place(path, folder):
    """Refuses a link out of a model folder; the hub's cache links to its blobs."""
    place = path.resolve()
    blobs = folder.parents[1] / "blobs" if len(folder.parents) > 1 else folder
    if folder not in place.parents and blobs not in place.parents:
        raise UntrustedError(
            f"{path} is a link to {place}, out of its folder; copy the file into it, "
            "if you trust who made it"
        )


def _check_text(path, text, allowed=()):
    if any(line.startswith("%") for line in text.splitlines()):
        raise UntrustedError(f"{path}: YAML directives are not allowed")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UntrustedError(f"{path} is no YAML: {error}") from error
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        reason = None if node.tag in allowed else _refused(node)
        if reason:
            raise UntrustedError(
                f"{path}, line {node.start_mark.line + 1}: {reason}. This folder "
                "could run code of its own. Only if you trust who made it: "
                "from_hparams(..., run_code_of_the_model_folder=True)"
            )
        if isinstance(node, yaml.MappingNode):
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)


def _refused(node):
    """Why a node is not allowed; None if it is."""
    kind = next((kind for kind in BUILDING if node.tag.startswith(kind)), None)
    if kind:
        return _not_known(node.tag[len(kind) :])
    if not (node.tag in OTHER or node.tag.startswith(PLAIN)):
        return f"{node.tag} is not allowed"
    if node.tag.startswith(f"{PLAIN}python"):
        return f"{node.tag} is not allowed"
    if node.value == RUNS_CODE:
        return f"{RUNS_CODE} is not allowed"
    if isinstance(node, yaml.ScalarNode) and ".." in Path(node.value).parts:
        return f"the path {node.value!r} leaves its folder"
    if node.tag == "!ref" and re.search(r"[.\[]\s*_", node.value):
        return f"{node.value} refers to what is private"
    if node.tag == f"{PLAIN}int" and _number(node.value) > LARGEST_NUMBER:
        return f"{node.value} is larger than {LARGEST_NUMBER}"
    return None


def _number(text):
    return (
        abs(int(yaml.safe_load(text)))
        if len(text) < 100
        else LARGEST_NUMBER + 1
    )


def _not_known(name):
    """Why a part is not one of those that can be named; None if it is."""
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
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return f"{name} is no class and no function"
    # what a module has imported itself is not its own
    if not _is_own(found, module_name):
        return f"{name} is not defined there"
    return None


def _is_own(found, module_name):
    # torch.nn.Linear is torch.nn.modules.linear.Linear
    if module_name == LAYERS:
        return found.__module__.startswith("torch.nn.modules.")
    return found.__module__ == module_name


def _check_parameters(path):
    """Refuses parameters that unpack to more than a model has."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(part.file_size for part in archive.infolist()))
    if size > LARGEST_PARAMETERS:
        raise UntrustedError(
            f"{path} has {size} bytes once unpacked, more than a model of this "
            f"kind ({LARGEST_PARAMETERS})"
        )
