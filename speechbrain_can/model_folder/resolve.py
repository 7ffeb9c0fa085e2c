"""Conversion of hparams to the literal settings of a model folder."""

import re
from collections import Counter
from dataclasses import replace
from functools import reduce
from typing import Any

from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, TaggedScalar

from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.build import KEYS
from speechbrain_can.model_folder.literal import (
    PART,
    REFERENCE,
    Part,
    Reference,
    children,
    dump,
)

ATTRIBUTE = re.compile(r"<(\w+)((?:\.\w+)+)>")


def literal_settings(text: str, built: dict[str, Any]) -> dict[str, Any]:
    """Convert HyperPyYAML to literals, parts and references to shared values.

    Arguments
    ---------
    text : str
        Plain HyperPyYAML.
    built : dict
        The objects that HyperPyYAML builds from it, which provide sizes such as
        ``<encoder.output_size>``.

    Returns
    -------
    dict
        The keys of ``ModelSettings``, and parts that are used more than once.

    Raises
    ------
    InputError
        If a value is neither a literal nor a part with named arguments.

    Example
    -------
    >>> text = "size: 3\\nmodules: {a: !new:torch.nn.Softmax {dim: !ref <size> - 1}}"
    >>> literal_settings(text, {})["modules"]["a"].arguments
    {'dim': 2}
    """
    converter = _Converter(YAML().load(text), built)
    values = {k: converter.convert(v) for k, v in converter.hparams.items()}
    uses = Counter()
    _count_uses([v for k, v in values.items() if k in KEYS], values, uses)
    shared = {
        name
        for name, count in uses.items()
        if count > 1 and isinstance(values[name], Part)
    }
    kept = shared | KEYS
    return {
        k: _inlined(v, values, kept) for k, v in values.items() if k in kept
    }


class _Converter:
    """Converts values of ruamel.yaml to literals, parts and references."""

    def __init__(self, hparams: dict[str, Any], built: dict[str, Any]):
        self.hparams = hparams
        self.built = built

    def convert(self, value: Any) -> Any:
        """Convert a value and everything it contains."""
        tag = getattr(getattr(value, "tag", None), "value", None)
        part = PART.fullmatch(tag or "")
        if isinstance(value, TaggedScalar):
            if part and not value.value:
                return Part(part[1], part[2], {})
            if tag == "!ref":
                return self._reference(value.value)
            if tag == "!tuple":
                return self._evaluate(value.value)
        elif isinstance(value, CommentedMap) and (part or tag is None):
            values = {str(k): self.convert(v) for k, v in value.items()}
            return Part(part[1], part[2], values) if part else values
        elif isinstance(value, list) and tag is None:
            return [self.convert(each) for each in value]
        elif isinstance(value, str) and value.startswith("("):
            return self._evaluate(value)  # a tuple
        elif tag is None:
            return _plain(value)
        raise InputError(
            f"a model folder cannot contain {tag} with {value}. Write parts with "
            "named arguments."
        )

    def _reference(self, text: str) -> Any:
        """Convert a reference to a value, or evaluate an expression."""
        whole, attribute = REFERENCE.fullmatch(text), ATTRIBUTE.fullmatch(text)
        if whole:
            return Reference(whole[1])
        if attribute:
            return self._attribute(attribute)
        return self._evaluate(text, "!ref ")

    def _attribute(self, match: re.Match) -> Any:
        """Return an attribute of a built object, such as a size."""
        names = match[2].split(".")[1:]
        return _plain(reduce(getattr, names, self.built[match[1]]))

    def _evaluate(self, text: str, tag: str = "") -> Any:
        """Return the value that HyperPyYAML gives a text."""
        values = {
            name: self._literal(name) for name in re.findall(r"<(\w+)", text)
        }
        if tag:
            text = "'" + text.replace("'", "''") + "'"
        found = load_hyperpyyaml(f"{dump(values)}result: {tag}{text}\n")
        return _plain(found["result"])

    def _literal(self, name: str) -> Any:
        """Return the literal of a key, following references."""
        value = self.convert(self.hparams[name])
        return (
            self._literal(value.name) if isinstance(value, Reference) else value
        )


def _count_uses(value: Any, values: dict[str, Any], uses: Counter) -> None:
    """Count how often each key is referred to, directly or by what it contains."""
    if isinstance(value, Reference):
        uses[value.name] += 1
        if uses[value.name] == 1:
            _count_uses(values[value.name], values, uses)
        return
    for each in children(value):
        _count_uses(each, values, uses)


def _inlined(value: Any, values: dict[str, Any], kept: set[str]) -> Any:
    """Replace references to keys that are not kept by their values."""
    if isinstance(value, Reference):
        if value.name in kept:
            return value
        return _inlined(values[value.name], values, kept)
    if isinstance(value, Part):
        return replace(value, arguments=_inlined(value.arguments, values, kept))
    if isinstance(value, dict):
        return {k: _inlined(v, values, kept) for k, v in value.items()}
    if isinstance(value, list):
        return [_inlined(each, values, kept) for each in value]
    return value


def _plain(value: Any) -> Any:
    """Convert numbers and texts of ruamel.yaml, and tuples, to plain types."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise InputError(
        f"a model folder cannot contain {value!r}, which is neither a number nor a "
        "text"
    )
