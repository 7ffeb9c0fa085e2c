"""Building of a model from the literal settings of its folder."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Callable, Iterator

import pydantic
import torch
from pydantic import Field

from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.dimensions import DimensionClassifier
from speechbrain_can.model_folder.literal import (
    ADVICE,
    Part,
    Reference,
    UntrustedError,
)
from speechbrain_can.model_folder.parts import (
    ANY,
    FOR_SAMPLES,
    PARTS,
    PRETRAINED,
    SAMPLES,
    check_arguments,
    check_slot,
    find_part,
)

# Values that do not belong to the stored parameters, such as buffers of constants
UNSTORED = 2**24
MOST_PARTS = 100
MOST_KEYS = 100


class ModelSettings(pydantic.BaseModel):
    """Top-level keys of a model folder; others may only be parts that are referenced."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, arbitrary_types_allowed=True
    )

    compute_features: torch.nn.Module
    segment: Callable
    conditioning: Callable | None = None
    normalize_by: str | None = None
    dimensions: list[str] | None = None
    modules: dict[str, torch.nn.Module]
    aligner: Callable | None = None
    transcriber: Callable | None = None
    temperature: Annotated[float, Field(ge=0.01, le=100)]
    classes: Annotated[int, Field(ge=2, le=1000)]
    # values that callers may override
    audio_source: str | None = None
    text_source: str | None = None
    pretrained_folder: str | None = None
    feature_device: str | None = None
    whisper: str | None = None
    language: str | None = None


KEYS = frozenset(ModelSettings.model_fields)
MODULES = {"normalize", "model"}


def build_model(
    settings: dict[str, Any], stored: int, path: str | Path
) -> dict[str, Any]:
    """Build the values of ``ModelSettings`` from parsed settings.

    Raises ``UntrustedError`` with the line of an unregistered part or an invalid
    argument, or if the network has more values than the ``stored`` number, which is
    checked before memory is allocated.
    """
    check_model_settings(settings, path)
    pretrained = {}
    with torch.device("meta"):
        draft = _Builder(settings, path, pretrained).build(settings["modules"])
    values = [
        tensor.numel()
        for module in draft.values()
        for tensor in (*module.parameters(), *module.buffers())
        if tensor.is_meta
    ]
    if sum(values) > stored + UNSTORED:
        raise UntrustedError(
            f"{path}: the network has {sum(values):,} parameters, but the folder "
            f"contains {stored:,}. Copy or write the model folder again."
        )
    builder = _Builder(settings, path, pretrained)
    built = {
        key: builder.build(settings[key]) for key in settings if key in KEYS
    }
    _check_dimensions(built, path)
    try:
        return dict(ModelSettings(**built))
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise UntrustedError(f"{path}: {name}: {first['msg']}") from error


def _check_dimensions(built: dict[str, Any], path: str | Path) -> None:
    """Refuse names of dimensions that do not match the model."""
    names = built.get("dimensions") or []
    sizes = {
        len(part.mean)
        for part in built["modules"]["model"].modules()
        if isinstance(part, DimensionClassifier)
    }
    if sizes != ({len(names)} if names else set()) or len(set(names)) < len(
        names
    ):
        raise UntrustedError(
            f"{path}: dimensions is {names}, but the model predicts "
            f"{', '.join(map(str, sizes)) or 'none'}"
        )


def check_model_settings(settings: dict[str, Any], path: str | Path) -> None:
    """Refuse unknown keys, unregistered parts, and parts in the wrong place.

    Nothing is imported or built.
    """
    if len(settings) > MOST_KEYS:
        raise UntrustedError(f"{path}: there are more than {MOST_KEYS} keys")
    modules = settings.get("modules")
    if not isinstance(modules, dict) or set(modules) != MODULES:
        raise UntrustedError(
            f"{path} is not a model: its modules must be {', '.join(sorted(MODULES))}"
        )
    walk = _Walk(settings, path)
    for key in KEYS & settings.keys():
        walk.visit(settings[key], key)
    for key in settings:
        named = isinstance(settings[key], Part) and key in walk.counts
        if key not in KEYS and not named:
            raise UntrustedError(
                f"{path}: unknown key {key}. A model folder contains only "
                f"{', '.join(sorted(KEYS))}, and parts that these refer to."
            )
    for module in modules.values():
        if not isinstance(module, (Part, Reference)):
            raise UntrustedError(
                f"{path} is not a model: {module!r} is not a part"
            )
    # Other encoders would store features for each sample.
    if SAMPLES in walk.names and FOR_SAMPLES not in walk.names:
        raise UntrustedError(f"{path}: {SAMPLES} needs {FOR_SAMPLES}")
    if walk.n_classes - {settings.get("classes")}:
        raise UntrustedError(f"{path}: n_classes differs from classes")


class _Walk:
    """Visits all parts of settings and checks where they are.

    ``counts`` contains the number of parts by top-level key that is referred to, with
    references replaced by copies, and None while they are counted.
    """

    def __init__(self, settings, path):
        self.settings, self.path = settings, path
        self.counts, self.names, self.n_classes = {}, set(), set()

    def visit(self, value: Any, slot: str) -> int:
        """Check a value and everything it contains; return its number of parts."""
        if isinstance(value, Reference):
            return self._follow(value, slot)
        self._check_place(value, slot)
        parts = isinstance(value, Part) + sum(
            self.visit(each, inner) for inner, each in _inner(value, slot)
        )
        if parts > MOST_PARTS:
            raise UntrustedError(
                f"{self.path}: the settings describe more than {MOST_PARTS} parts"
            )
        return parts

    def _follow(self, reference: Reference, slot: str) -> int:
        """Visit the value of a top-level key, once."""
        name = reference.name
        if name not in self.settings or self.counts.get(name, 0) is None:
            why = (
                "refers to itself"
                if name in self.settings
                else "does not exist"
            )
            raise _refusal(self.path, reference, f"<{name}> {why}")
        if name in self.counts:
            self._check_place(self.settings[name], slot)
        else:
            self.counts[name] = None
            self.counts[name] = self.visit(self.settings[name], slot)
        return self.counts[name]

    def _check_place(self, value: Any, slot: str) -> None:
        """Check that a part may be the value of a slot; note number of classes."""
        if slot == "n_classes":
            self.n_classes.add(value if isinstance(value, int) else None)
        if not isinstance(value, Part):
            return
        self.names.add(value.name)
        try:
            check_slot(value.name, value.kind, slot)
        except InputError as error:
            raise _refusal(self.path, value, f"{error}. {ADVICE}") from error


def _inner(value: Any, slot: str) -> Iterator[tuple[str, Any]]:
    """Yield the values that a value contains, with their slots."""
    if isinstance(value, list):
        yield from ((slot, each) for each in value)
    elif isinstance(value, Part):
        ours = value.name in PARTS
        for name, each in value.arguments.items():
            yield name if ours else ANY, each
    elif isinstance(value, dict):
        yield from ((f"{slot}.{key}", each) for key, each in value.items())


def _refusal(
    path: str | Path, node: Part | Reference, reason: str
) -> UntrustedError:
    return UntrustedError(f"{path}, line {node.line}: {reason}")


class _Builder:
    """Builds parsed values; each named value is built once."""

    def __init__(self, settings, path, pretrained):
        self.settings = settings
        self.path = path
        # parts shared with other builders, by identity
        self.pretrained = pretrained
        self.named = {}

    def build(self, value: Any) -> Any:
        """Build a literal, a part or a reference, and everything it contains."""
        if isinstance(value, Reference):
            name = value.name
            if name not in self.named:
                self.named[name] = self.build(self.settings[name])
            return self.named[name]
        if isinstance(value, dict):
            return {key: self.build(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.build(each) for each in value]
        if not isinstance(value, Part):
            return value
        if not value.name.startswith(PRETRAINED):
            return self._part(value)
        if id(value) not in self.pretrained:
            with torch.device("cpu"):
                self.pretrained[id(value)] = self._part(value)
        return self.pretrained[id(value)]

    def _part(self, part: Part) -> Any:
        """Build a part after validating its arguments."""
        arguments = self.build(part.arguments)
        complete = part.kind == "new"
        try:
            found = find_part(part.name)
            check_arguments(found, arguments, complete)
            return (
                found(**arguments) if complete else partial(found, **arguments)
            )
        except InputError as error:
            if type(error) is not InputError:
                raise  # such as a pretrained encoder that cannot be loaded
            raise _refusal(self.path, part, f"{part.name}: {error}") from error
        # Parts check relations between arguments in many ways.
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise _refusal(self.path, part, f"{part.name}: {why}") from error
