"""Checks that let an untrusted model folder only build allow-listed parts.

HyperPyYAML can call any importable function, which makes the settings of an
untrusted folder a program. This module reads them with HyperPyYAML's own parser
before anything is built, and accepts a small subset: parts of SpeechBrain, torch
and this package, each named by its defining module; references to whole values;
and short texts composed of other values.
"""

import filecmp
import math
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from speechbrain.utils.fetching import fetch
from speechbrain.utils.logger import get_logger
from speechbrain.utils.parameter_transfer import PARAMFILE_EXT
from speechbrain_can.io.files import InputError, parsing
from speechbrain_can.model_folder.allowed import PRETRAINER, why_not_allowed
from speechbrain_can.model_folder.memory import LimitedMemory, TooLargeError
from speechbrain_can.model_folder.parameters import NETWORK, PACKED, is_changed
from speechbrain_can.model_folder.write import CLASSES

# makes transformers execute code of a model on the hub
RUNS_CODE = "trust_remote_code"
PARTS = ("!new:", "!name:")
REFERENCES = ("!ref", "!copy")

# HyperPyYAML rewrites <part.attribute> to this; refused if written explicitly
ATTRIBUTE = "!apply:getattr"
PLAIN = "tag:yaml.org,2002:"
logger = get_logger(__name__)
LOADABLES = (NETWORK, "label_encoder")  # what a pretrainer may load

# Sizes and sub-parts of parts. Other attributes give access to all of Python: paths
# can write files and generators expose frames.
ATTRIBUTES = re.compile(
    "([a-z]+_)*(size|sizes|layers|features|front_end|encoder)"
)

# A value, one of its items, or one of its attributes
WHOLE = re.compile(rf"<\w+(\[\w+\])*(\.{ATTRIBUTES.pattern})?>")
NAMED = re.compile(r"<(\w+)>")

# Characters of texts; around references, sums are allowed as well
TEXT = re.compile(r"[\w./ @,:~\\-]*")
AROUND = re.compile(r"([\w./ @,:~\\()-]| [+*] )*")

# HyperPyYAML passes parenthesized values to a loader that can call functions
TUPLE = re.compile(r"\([\w\s.,+-]*\)")
LARGEST_SETTINGS = 2**16  # bytes
LARGEST_NUMBER = 2**20  # more than any layer of a real model has units
LONGEST_TEXT = 1000  # characters after references are replaced
MAX_COPIES = 8  # each copy can double the size of the settings
LARGEST_PARAMETERS = 2**33  # bytes

ADVICE = (
    "If you trust the author of the model, pass "
    "run_code_of_the_model_folder=True to from_hparams."
)


class UntrustedError(InputError):
    """Raised when a model folder requests an operation that is not allow-listed."""


def check_model(source: str | Path, hparams_file: str, **options: Any) -> None:
    """Refuse a model folder that contains more than settings and parameters.

    ``options`` are those of SpeechBrain's ``fetch``, which fetches all files here.
    Raises ``UntrustedError`` with the file and, for settings, the line.
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
                f"{parameters[CLASSES]} does not match {parameters[PACKED]}: it is "
                "damaged. Copy or write the model folder again."
            )
        # intentionally by its owner, or by accident
        if is_changed(path, parameters[PACKED]):
            logger.warning("%s was modified after the model was trained", path)


def _fetched(
    file: str,
    saved: str,
    source: str | Path,
    folder: Path | None,
    options: dict,
) -> Path:
    """Return the path of a model file as SpeechBrain fetches it."""
    if folder and not (folder / file).is_file():
        raise InputError(f"{folder} is not a model folder: it has no {file}")
    if folder:
        _check_place(folder / file)
    path = fetch(file, source, save_filename=saved, **options)
    if folder and not filecmp.cmp(path, folder / file, shallow=False):
        raise InputError(
            f"{path} belongs to a different model than {folder}. Pass another "
            "savedir."
        )
    return path


def check_settings(path: str | Path) -> dict[str, str]:
    """Refuse settings that do more than build a model.

    Overrides passed by the caller are trusted and not checked. Returns the files that
    are loaded, by the modules whose parameters they contain. Raises
    ``UntrustedError`` with the line that is not allowed.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST_SETTINGS:
        raise UntrustedError(
            f"{path} is larger than {LARGEST_SETTINGS} bytes, the limit for "
            "settings"
        )
    with _reading(path, "model settings"):
        text = path.read_text(encoding="utf-8")
        # Check the text first: resolving references reads included files.
        root = _checked(path, text)
        resolved = resolve_references(text).read()
        _checked(f"{path}, with references resolved", resolved, resolved=True)
        return _loadables(path, root)


def _check_place(path: Path) -> None:
    """Refuse links out of the folder, except to blobs of the hub's cache."""
    folder, place = path.parent.resolve(), path.resolve()
    blobs = folder.parents[1] / "blobs" if len(folder.parents) > 1 else folder
    if folder not in place.parents and blobs not in place.parents:
        raise UntrustedError(
            f"{path} is a link to {place}, outside its folder. If you trust its "
            "author, copy the file into the folder."
        )


def _check_size(path: Path) -> None:
    """Refuse parameter files of an implausible size."""
    size = path.stat().st_size
    if size > LARGEST_PARAMETERS:
        raise UntrustedError(
            f"{path} has {size} bytes; the limit is {LARGEST_PARAMETERS}"
        )


@contextmanager
def building(source: str | Path) -> Iterator[None]:
    """Context for building an untrusted model; errors name the folder.

    Raises ``UntrustedError`` if the network is too large.
    """
    try:
        with _reading(source, "a model"), LimitedMemory():
            yield
    except TooLargeError as error:
        raise UntrustedError(f"{source}: {error}. {ADVICE}") from error


@contextmanager
def _reading(path: str | Path, kind: str) -> Iterator[None]:
    """Like ``parsing``, but also convert memory errors of deeply nested files."""
    try:
        with parsing(path, kind, UntrustedError):
            yield
    except MemoryError as error:
        raise UntrustedError(
            f"{path}: cannot be read as {kind}: it needs too much memory"
        ) from error


def _checked(
    name: str | Path, text: str, resolved: bool = False
) -> MappingNode:
    """Return the root node of settings after checking every node."""
    if any(line.startswith("%") for line in text.splitlines()):
        raise UntrustedError(f"{name}: YAML directives are not allowed")
    # HyperPyYAML uses these parsers for written and resolved text.
    root = YAML(typ="safe" if resolved else "rt", pure=True).compose(text)
    if not isinstance(root, MappingNode):
        raise UntrustedError(f"{name}: the settings are not a mapping")
    values = {key.value: value for key, value in root.value}
    waiting, seen, copies = [root], set(), 0
    while waiting:
        node = waiting.pop()
        if resolved and id(node) in seen:  # target of a reference
            continue
        copies += node.tag == "!copy"
        if id(node) in seen:
            reason = "aliases are not allowed; use !ref"
        elif copies > MAX_COPIES:
            reason = f"!copy is used more than {MAX_COPIES} times"
        elif resolved and node.tag == ATTRIBUTE:
            reason = _why_no_attribute(node)
        else:
            reason = _why_refused(node, values)
        seen.add(id(node))
        if reason:
            raise UntrustedError(
                f"{name}, line {node.start_mark.line + 1}: {reason}. The model "
                f"folder could execute arbitrary code. {ADVICE}"
            )
        if isinstance(node, MappingNode):
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, SequenceNode):
            waiting.extend(node.value)
    return root


def _why_refused(node: Node, values: dict[str, Node]) -> str | None:
    """Return the reason why a node is refused, or None if it is allowed."""
    tag = str(node.tag)
    keys = (
        [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    )
    if not all(key.tag == f"{PLAIN}str" for key in keys):
        return "keys must be strings"
    names = [key.value for key in keys]
    if len(set(names)) < len(names):
        return "duplicate keys are not allowed"
    kind = next((kind for kind in PARTS if tag.startswith(kind)), None)
    if kind:
        part = tag[len(kind) :]
        if part == PRETRAINER:
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
        return f"the path {value!r} leads out of its folder"
    # A reference to a value of this form would be followed.
    if re.search("<[^>]*>", value) and not NAMED.fullmatch(value):
        return f"{value!r} is a reference without !ref"
    tuple_like = tag == "!tuple" or value.lstrip().startswith("(")
    if tuple_like and not TUPLE.fullmatch(value):
        return f"{value!r} is not a tuple of numbers or names"
    if _is_too_large(tag, value):
        return f"{value} is larger than {LARGEST_NUMBER}"
    return None


def _why_no_reference(node: Node, values: dict[str, Node]) -> str | None:
    """Return the reason why a reference is refused; texts must stay short."""
    if not isinstance(node, ScalarNode):
        return f"{node.tag} must be followed by a reference"
    if WHOLE.fullmatch(node.value):
        return None
    waiting, length, allowed = [node], 0, True
    while waiting and allowed and length <= LONGEST_TEXT:
        found = waiting.pop()
        if not isinstance(found, ScalarNode):
            return (
                f"{node.value} composes a text from values that are not texts"
            )
        length += len(found.value)
        own = found.tag in REFERENCES
        around = NAMED.split(found.value)[::2] if own else [found.value]
        pattern = AROUND if own else TEXT
        allowed = all(pattern.fullmatch(piece) for piece in around)
        names = NAMED.findall(found.value) if own else ()
        waiting.extend(values.get(name) for name in names)
    if not allowed:
        return (
            f"{node.value} is not a reference to a value, a size or a part, nor a "
            "path or sum of values"
        )
    if length > LONGEST_TEXT:
        return f"{node.value} expands to more than {LONGEST_TEXT} characters"
    return None


def _why_no_attribute(node):
    named = isinstance(node, SequenceNode) and len(node.value) == 2
    attribute = node.value[1] if named else None
    if not isinstance(attribute, ScalarNode):
        return f"{ATTRIBUTE} is not allowed"
    if not ATTRIBUTES.fullmatch(attribute.value):
        return f"{attribute.value} is neither a size nor a part"
    return None


def _why_no_pretrainer(kind: str, node: Node) -> str | None:
    """Return the reason why a pretrainer is refused; it may only load named files."""
    given = node.value if isinstance(node, MappingNode) else []
    if kind != "!new:" or [key.value for key, _ in given] != ["loadables"]:
        return "a pretrainer must have loadables as its only argument"
    ((_, loadables),) = given
    if not isinstance(loadables, MappingNode) or not all(
        isinstance(key, ScalarNode) and key.value in LOADABLES
        for key, _ in loadables.value
    ):
        return f"the loadables of a pretrainer must be {', '.join(LOADABLES)}"
    return None


def _loadables(path: Path, root: MappingNode) -> dict[str, str]:
    """Return the files that the pretrainer loads, by the parts they belong to."""
    values = {key.value: value for key, value in root.value}
    pretrainer = values.get("pretrainer")
    if pretrainer is None or pretrainer.tag != f"!new:{PRETRAINER}":
        raise UntrustedError(f"{path} is not a model: it has no pretrainer")
    ((_, loadables),) = pretrainer.value
    return {
        key.value: (
            PACKED if key.value == NETWORK else f"{key.value}{PARAMFILE_EXT}"
        )
        for key, _ in loadables.value
    }


def _is_too_large(tag: str, text: str) -> bool:
    """Return whether a YAML number is larger than any plausible layer size."""
    if tag not in (f"{PLAIN}int", f"{PLAIN}float"):
        return False
    if len(text) > 100:  # more digits than any number here needs
        return True
    number = YAML(typ="safe", pure=True).load(text)
    negative = tag == f"{PLAIN}float" and number < 0  # such as masking values
    return not (negative or abs(number) <= LARGEST_NUMBER or math.isinf(number))
