"""What a model folder may do: build known parts, and nothing else.

HyperPyYAML can call any function that can be imported, so that the settings of a
stranger's folder are a program. They are read here before anything is built, by the
parser that HyperPyYAML has, and only a small part of its language is allowed: parts
of SpeechBrain's, torch's and this package's, each named by the module that defines
it; references to whole values, and short texts made of others.

Authors
 * The speechbrain-can developers 2026
"""

import filecmp
import math
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from speechbrain.utils.fetching import fetch
from speechbrain.utils.logger import get_logger
from speechbrain.utils.parameter_transfer import PARAMFILE_EXT
from speechbrain_can.files import InputError, parsing
from speechbrain_can.inference.allowed import (
    PACKED_PRETRAINER,
    PRETRAINER,
    why_not_allowed,
)
from speechbrain_can.inference.memory import LimitedMemory, TooLargeError
from speechbrain_can.training.model_folder import CLASSES
from speechbrain_can.training.parameters import NETWORK, PACKED, is_changed

# transformers then runs what a model on the hub brings along
RUNS_CODE = "trust_remote_code"
PARTS = ("!new:", "!name:")
REFERENCES = ("!ref", "!copy")
# What <part.attribute> becomes; as written it is refused
ATTRIBUTE = "!apply:getattr"
PLAIN = "tag:yaml.org,2002:"

logger = get_logger(__name__)

NAME = re.compile(r"[A-Za-z]\w*")
# Sizes of parts, and parts of them. Public ones of others lead to all that Python can
# do: a path writes, a generator has a frame.
ATTRIBUTES = re.compile(
    "([a-z]+_)*(size|sizes|layers|features|front_end|encoder)"
)
# A value, an item of it, or one of its attributes
WHOLE = re.compile(rf"<\w+(\[\w+\])*(\.{ATTRIBUTES.pattern})?>")
NAMED = re.compile(r"<(\w+)>")
# What texts are made of, and around the references in one also sums
TEXT = re.compile(r"[\w./ @,:~\\-]*")
AROUND = re.compile(r"([\w./ @,:~\\()-]| [+*] )*")
# HyperPyYAML hands what is in brackets to a loader that calls what it is told to
TUPLE = re.compile(r"\([\w\s.,+-]*\)")

LARGEST_SETTINGS = 2**16  # bytes
LARGEST_NUMBER = 2**20  # a layer of as many units is no mistake
LONGEST_TEXT = 1000  # characters of a text once its references are replaced
MOST_COPIES = 8  # each may double what there is
LARGEST_PARAMETERS = 2**33  # bytes, once unpacked

ADVICE = (
    "Only if you trust who made the model: "
    "from_hparams(..., run_code_of_the_model_folder=True)"
)


class UntrustedError(InputError):
    """A model folder that wants more than to build a model."""


def check_model(source, hparams_file, **options):
    """Refuses a model of which more would be read than settings and numbers.

    Arguments
    ---------
    source : str
        A folder, or a name on the hub.
    hparams_file : str
        Its settings.
    **options : dict
        As for SpeechBrain's ``fetch``: all of its files are fetched here.

    Raises
    ------
    UntrustedError
        With the file, and of settings with the line.
    """
    folder = Path(source) if Path(source).is_dir() else None
    path = _fetched(hparams_file, hparams_file, source, folder, options)
    parameters = {}
    for part, file in check_settings(path).items():
        saved = f"{part}{PARAMFILE_EXT}"  # as Pretrainer calls it in savedir
        parameters[file] = _fetched(file, saved, source, folder, options)
        _check_size(parameters[file])
    if {PACKED, CLASSES} <= parameters.keys():
        if is_changed(parameters[CLASSES], parameters[PACKED]):
            raise InputError(
                f"{parameters[CLASSES]} is not that of {parameters[PACKED]}: it is "
                "damaged; copy the model folder once more, or make it again"
            )
        # by its owner, or by accident
        if is_changed(path, parameters[PACKED]):
            logger.warning(
                "%s is not as it was when the model was trained", path
            )


def _fetched(file, saved, source, folder, options):
    """Where a file of a model is, as SpeechBrain finds it too."""
    if folder and not (folder / file).is_file():
        raise InputError(f"{folder} is no model folder: it has no {file}")
    if folder:
        _check_place(folder / file)
    path = fetch(file, source, save_filename=saved, **options)
    if folder and not filecmp.cmp(path, folder / file, shallow=False):
        raise InputError(
            f"{path} is another model's, and would be taken for that of {folder}; "
            "give another savedir"
        )
    return path


def check_settings(path):
    """Refuses settings that would do more than build a model.

    What a caller overrides is the caller's, and not looked at.

    Arguments
    ---------
    path : str or Path
        The hparams file.

    Returns
    -------
    dict of str: str
        The parts whose parameters are loaded, and from which files beside it.

    Raises
    ------
    UntrustedError
        With the line of what is not allowed.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST_SETTINGS:
        raise UntrustedError(f"{path} has more than {LARGEST_SETTINGS} bytes")
    with _reading(path, "settings of a model"):
        text = path.read_text(encoding="utf-8")
        # first as written: to resolve references reads files that it includes
        root = _checked(path, text)
        resolved = resolve_references(text).read()
        _checked(f"{path}, with references resolved", resolved, resolved=True)
        return _loadables(path, root)


def _check_place(path):
    """Refuses a link out of a folder; the hub's cache links to its blobs."""
    folder, place = path.parent.resolve(), path.resolve()
    blobs = folder.parents[1] / "blobs" if len(folder.parents) > 1 else folder
    if folder not in place.parents and blobs not in place.parents:
        raise UntrustedError(
            f"{path} is a link to {place}, out of its folder; copy the file into it, "
            "if you trust who made it"
        )


def _check_size(path):
    """Refuses parameters that unpack to more than a model has."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with _reading(path, "an archive"):
            with zipfile.ZipFile(path) as archive:
                parts = [part.file_size for part in archive.infolist()]
        size = max(size, sum(parts))
    if size > LARGEST_PARAMETERS:
        raise UntrustedError(
            f"{path} has {size} bytes once unpacked, more than a model of this "
            f"kind ({LARGEST_PARAMETERS})"
        )


@contextmanager
def building(source):
    """Within it, what goes wrong as a stranger's model is built names the folder.

    Raises ``UntrustedError`` if the network is too large.
    """
    try:
        with _reading(source, "a model"), LimitedMemory():
            yield
    except TooLargeError as error:
        raise UntrustedError(f"{source}: {error}. {ADVICE}") from error


@contextmanager
def _reading(path, kind):
    """As ``parsing``; also a stranger's text may be nested too deep for the memory."""
    try:
        with parsing(path, kind, UntrustedError):
            yield
    except MemoryError as error:
        raise UntrustedError(
            f"{path}: not {kind} that can be read, it needs too much memory"
        ) from error


def _checked(name, text, resolved=False):
    """The root of settings in which every node is allowed."""
    if any(line.startswith("%") for line in text.splitlines()):
        raise UntrustedError(f"{name}: YAML directives are not allowed")
    # by the parsers that HyperPyYAML has for the one and the other
    root = YAML(typ="safe" if resolved else "rt", pure=True).compose(text)
    if not isinstance(root, MappingNode):
        raise UntrustedError(f"{name} is no mapping of settings")
    values = {key.value: value for key, value in root.value}
    waiting, seen, copies = [root], set(), 0
    while waiting:
        node = waiting.pop()
        if resolved and id(node) in seen:  # what was referred to
            continue
        copies += node.tag == "!copy"
        if id(node) in seen:
            reason = "an alias is not allowed, give a !ref"
        elif copies > MOST_COPIES:
            reason = f"more than {MOST_COPIES} times !copy"
        elif resolved and node.tag == ATTRIBUTE:
            reason = _why_no_attribute(node)
        else:
            reason = _why_refused(node, values)
        seen.add(id(node))
        if reason:
            raise UntrustedError(
                f"{name}, line {node.start_mark.line + 1}: {reason}. This folder "
                f"could run code of its own. {ADVICE}"
            )
        if isinstance(node, MappingNode):
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, SequenceNode):
            waiting.extend(node.value)
    return root


def _why_refused(node, values):
    """Why a node is not allowed; None if it is."""
    tag = str(node.tag)
    keys = (
        [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    )
    if not all(key.tag == f"{PLAIN}str" for key in keys):
        return "a key that is no text is not allowed"
    names = [key.value for key in keys]
    if len(set(names)) < len(names):
        return "a key stands twice"
    kind = next((kind for kind in PARTS if tag.startswith(kind)), None)
    if kind:
        part = tag[len(kind) :]
        if part in (PRETRAINER, PACKED_PRETRAINER):
            return _why_no_pretrainer(kind, node)
        return why_not_allowed(part, names)
    if tag in REFERENCES:
        return _why_no_reference(node, values)
    own = tag.startswith(PLAIN) and not tag.startswith(f"{PLAIN}python")
    if not own and not (tag == "!tuple" and isinstance(node, ScalarNode)):
        return f"{tag} is not allowed"
    return (
        _why_no_value(tag, node.value) if isinstance(node, ScalarNode) else None
    )


def _why_no_value(tag, value):
    if value == RUNS_CODE:
        return f"{RUNS_CODE} is not allowed"
    if ".." in Path(value).parts:
        return f"the path {value!r} leaves its folder"
    # to refer to what is a reference itself follows it
    if re.search("<[^>]*>", value) and not NAMED.fullmatch(value):
        return f"{value!r} is a reference without !ref"
    tuple_like = tag == "!tuple" or value.lstrip().startswith("(")
    if tuple_like and not TUPLE.fullmatch(value):
        return f"{value!r} is no tuple of numbers or names"
    if _is_too_large(tag, value):
        return f"{value} is larger than {LARGEST_NUMBER}"
    return None


def _why_no_reference(node, values):
    """Of a reference; in texts it is followed, so that they stay short."""
    if not isinstance(node, ScalarNode):
        return f"{node.tag} is not followed by a reference"
    if WHOLE.fullmatch(node.value):
        return None
    waiting, length, allowed = [node], 0, True
    while waiting and allowed and length <= LONGEST_TEXT:
        found = waiting.pop()
        if not isinstance(found, ScalarNode):
            return f"{node.value} is a text made of what is none"
        length += len(found.value)
        own = found.tag in REFERENCES
        around = NAMED.split(found.value)[::2] if own else [found.value]
        pattern = AROUND if own else TEXT
        allowed = all(pattern.fullmatch(piece) for piece in around)
        names = NAMED.findall(found.value) if own else ()
        waiting.extend(values.get(name) for name in names)
    if not allowed:
        return (
            f"{node.value} is no reference to a value, a size or a part, and no path "
            "and no sum of values"
        )
    if length > LONGEST_TEXT:
        return f"{node.value} becomes a text of over {LONGEST_TEXT} characters"
    return None


def _why_no_attribute(node):
    named = isinstance(node, SequenceNode) and len(node.value) == 2
    attribute = node.value[1] if named else None
    if not isinstance(attribute, ScalarNode):
        return f"{ATTRIBUTE} is not allowed"
    if not ATTRIBUTES.fullmatch(attribute.value):
        return f"{attribute.value} is no size and no part"
    return None


def _why_no_pretrainer(kind, node):
    """It may load what is beside the settings, by its name, and nothing else."""
    given = node.value if isinstance(node, MappingNode) else []
    if kind != "!new:" or [key.value for key, _ in given] != ["loadables"]:
        return "a pretrainer that is given more than loadables is not allowed"
    ((_, loadables),) = given
    if not isinstance(loadables, MappingNode) or not all(
        isinstance(key, ScalarNode) and NAME.fullmatch(key.value)
        for key, _ in loadables.value
    ):
        return "the loadables of a pretrainer are no names and parts"
    return None


def _loadables(path, root):
    """The files that the pretrainer loads, by the parts that they belong to."""
    values = {key.value: value for key, value in root.value}
    pretrainer = values.get("pretrainer")
    files = {
        f"!new:{PRETRAINER}": {},
        f"!new:{PACKED_PRETRAINER}": {NETWORK: PACKED},
    }
    if pretrainer is None or pretrainer.tag not in files:
        raise UntrustedError(f"{path} is of no model: it has no pretrainer")
    ((_, loadables),) = pretrainer.value
    return {
        key.value: files[pretrainer.tag].get(
            key.value, f"{key.value}{PARAMFILE_EXT}"
        )
        for key, _ in loadables.value
    }


def _is_too_large(tag, text):
    """Whether it is a number, as YAML writes them, of which no layer has as many."""
    if tag not in (f"{PLAIN}int", f"{PLAIN}float"):
        return False
    if len(text) > 100:  # no number has as many digits
        return True
    number = YAML(typ="safe", pure=True).load(text)
    negative = tag == f"{PLAIN}float" and number < 0  # such as what masks
    return not (negative or abs(number) <= LARGEST_NUMBER or math.isinf(number))
