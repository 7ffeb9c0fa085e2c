"""Settings of model folders, written in a subset of HyperPyYAML that is only data.

The subset contains literals, lists, mappings, parts (``!new:`` and ``!name:`` with
keyword arguments) and references to whole values (``!ref <name>``). HyperPyYAML
reads the same files, but ``parse`` needs no loader that can execute code.
"""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from ruamel.yaml import YAML
from ruamel.yaml.events import DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from speechbrain_can.io.files import InputError

LONGEST_TEXT = 1000  # characters
LONGEST_NUMBER = 40  # characters
MOST_BRACKETS = 500
PLAIN = "tag:yaml.org,2002:"
SCALARS = {f"{PLAIN}{name}" for name in ("null", "bool", "int", "float", "str")}
PART = re.compile(r"!(new|name):(\w+(?:\.\w+)+)")
REFERENCE = re.compile(r"<(\w+)>")
# Other keys, and these words, are quoted
PLAIN_KEY = re.compile(
    "(?!(?i:null|true|false|yes|no|on|off|y|n)$)[A-Za-z_]\\w*"
)
ADVICE = (
    "If you trust the author of the model, pass trust_model_code=True to "
    "from_hparams, which executes the settings as a program."
)


class UntrustedError(InputError):
    """Raised for a model folder that contains more than a model."""


@dataclass(frozen=True)
class Part:
    """An object to build (``new``), or a callable with preset arguments (``name``)."""

    kind: str
    name: str
    arguments: dict[str, Any]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Reference:
    """A reference to the value of a top-level key."""

    name: str
    line: int = field(default=0, compare=False)


def children(value: Any) -> list[Any]:
    """Return the values that a part, a mapping or a list contains directly."""
    inner = value.arguments if isinstance(value, Part) else value
    if isinstance(inner, dict):
        return list(inner.values())
    return inner if isinstance(inner, list) else []


def parse(text: str, path: str | Path) -> dict[str, Any]:
    """Parse settings into literals, ``Part`` and ``Reference``.

    Raises ``UntrustedError`` with the line of the first node outside the subset.

    Example
    -------
    >>> parse("size: 3\\nlayer: !new:a.Layer {size: !ref <size>}", "a.yaml")[
    ...     "size"
    ... ]
    3
    """
    try:
        # ruamel.yaml takes minutes for thousands of nested lists
        if text.count("[") + text.count("{") > MOST_BRACKETS:
            raise UntrustedError(f"{path}: there are too many brackets")
        _check_events(text, path)
        root = YAML(typ="safe", pure=True).compose(text)
        if not isinstance(root, MappingNode) or root.tag != f"{PLAIN}map":
            raise UntrustedError(f"{path}: the settings are not a mapping")
        return _literal(root, path)
    except InputError:
        raise
    # ruamel.yaml raises many kinds of exceptions, also for deeply nested text.
    except (Exception, MemoryError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UntrustedError(
            f"{path}: cannot be read as model settings ({why})"
        ) from error


def _check_events(text: str, path: str | Path) -> None:
    """Refuse directives, anchors and aliases, which composed nodes do not show."""
    for event in YAML(typ="safe", pure=True).parse(text):
        directive = isinstance(event, DocumentStartEvent) and (
            event.version or event.tags
        )
        if directive or getattr(event, "anchor", None):
            raise _refusal(
                path, event, "directives, anchors and aliases are not allowed"
            )


def _literal(node: Node, path: str | Path) -> Any:
    """Convert a YAML node."""
    tag, line = str(node.tag), node.start_mark.line + 1
    part = PART.fullmatch(tag)
    if isinstance(node, MappingNode) and (part or tag == f"{PLAIN}map"):
        values = {}
        for key, value in node.value:
            if str(key.tag) != f"{PLAIN}str" or key.value in values:
                raise _refusal(path, key, "keys must be different strings")
            _check_text(key, path)
            values[key.value] = _literal(value, path)
        return Part(part[1], part[2], values, line) if part else values
    if isinstance(node, SequenceNode) and tag == f"{PLAIN}seq":
        return [_literal(value, path) for value in node.value]
    if isinstance(node, ScalarNode):
        if part and not node.value:
            return Part(part[1], part[2], {}, line)
        if tag == "!ref" and REFERENCE.fullmatch(node.value):
            return Reference(node.value[1:-1], line)
        if tag in SCALARS:
            return _scalar(node, path)
    raise _refusal(
        path,
        node,
        f"{tag[:100]} is not allowed with this value. Only literals, !new: and !name: "
        "with named arguments, and !ref <name> are",
    )


def _scalar(node: ScalarNode, path: str | Path) -> Any:
    """Convert a literal."""
    if node.tag == f"{PLAIN}str":
        _check_text(node, path)
        return node.value
    if len(node.value) > LONGEST_NUMBER:
        raise _refusal(path, node, "the number has too many digits")
    return YAML(typ="safe", pure=True).constructor.construct_object(node)


def _check_text(node: ScalarNode, path: str | Path) -> None:
    """Refuse texts that are long, not printable or lead out of a folder."""
    text = node.value
    if len(text) > LONGEST_TEXT or not text.isprintable():
        raise _refusal(
            path,
            node,
            f"texts must be printable and have at most {LONGEST_TEXT} characters",
        )
    if ".." in text.replace("\\", "/").split("/"):
        raise _refusal(path, node, f"the path {text} leads out of its folder")


def _refusal(path: str | Path, node: Any, reason: str) -> UntrustedError:
    """Return an error that names the line of a node or event."""
    line = node.start_mark.line + 1
    return UntrustedError(f"{path}, line {line}: {reason}. {ADVICE}")


def dump(settings: dict[str, Any]) -> str:
    """Return settings as YAML, which ``parse`` and HyperPyYAML read.

    Example
    -------
    >>> print(dump({"layer": Part("new", "a.Layer", {"size": 3})}), end="")
    layer: !new:a.Layer
      size: 3
    """
    return "".join(f"{line}\n" for line in _lines(settings))


def _lines(values: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a mapping."""
    for key, value in values.items():
        head, *more = _value_lines(value)
        name = key if PLAIN_KEY.fullmatch(key) else json.dumps(key)
        yield f"{name}: {head}".rstrip()
        yield from (f"  {line}" for line in more)


def _value_lines(value: Any) -> list[str]:
    """Return the text after a key or a dash, and the indented lines below it."""
    if isinstance(value, Part):
        tag = f"!{value.kind}:{value.name}"
        return (
            [tag, *_lines(value.arguments)]
            if value.arguments
            else [f"{tag} {{}}"]
        )
    if isinstance(value, dict) and value:
        return ["", *_lines(value)]
    if isinstance(value, list) and any(map(_has_lines, value)):
        lines = [""]
        for each in value:
            head, *more = _value_lines(each)
            lines.append(f"- {head}".rstrip())
            lines.extend(f"  {line}" for line in more)
        return lines
    if isinstance(value, list):
        return [f"[{', '.join(_value_lines(each)[0] for each in value)}]"]
    if isinstance(value, Reference):
        return [f"!ref <{value.name}>"]
    if isinstance(value, float):
        return [_float(value)]
    return [json.dumps(value, ensure_ascii=False)]


def _has_lines(value: Any) -> bool:
    """Return whether a value takes several lines."""
    return isinstance(value, (Part, dict, list))


def _float(value: float) -> str:
    """Return a number that every version of YAML reads as a float."""
    if not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"
