"""What a model folder may do: build known parts, and nothing else.

HyperPyYAML can call any function that can be imported, so that the settings of a
stranger's folder are a program. They are read here before anything is built: each
part must be one of SpeechBrain's, torch's or this package's, named by the module that
defines it. Parameters are read by ``torch.load`` with ``weights_only``, the default of
every torch that this package admits, or from safetensors.

Authors
 * The speechbrain-can developers 2026
"""

import importlib
import inspect
import re
import zipfile
from pathlib import Path

import yaml
from hyperpyyaml import resolve_references

from speechbrain_can.files import InputError

# Modules whose own classes and functions may be named
PACKAGES = (
    "speechbrain_can.alignment.",
    "speechbrain_can.features.",
    "speechbrain_can.inference.packed.",
    "speechbrain_can.integrations.",
    "speechbrain_can.lobes.",
    "speechbrain.dataio.encoder.",
    "speechbrain.lobes.",
    "speechbrain.nnet.",
    "speechbrain.utils.parameter_transfer.",
    "torch.nn.",
)
BUILDING = ("!new:", "!name:")
OTHER = ("!ref", "!copy", "!tuple")
# What <part.attribute> becomes; as written it is refused
RESOLVED = ("!apply:getattr",)
PLAIN = "tag:yaml.org,2002:"
LARGEST_SETTINGS = 2**20  # bytes
LARGEST_NUMBER = 2**20  # a layer of as many units is no mistake
LARGEST_PARAMETERS = 2**33  # bytes, once unpacked


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
    if not f"{module_name}.".startswith(PACKAGES):
        return f"{name} is no part that is known here"
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
    if module_name == "torch.nn":
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
