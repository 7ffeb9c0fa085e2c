"""Building of a model from the literal settings of its folder."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Callable

import pydantic
import torch
from pydantic import Field

from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.literal import (
    ADVICE,
    Part,
    Reference,
    UntrustedError,
    children,
)
from speechbrain_can.model_folder.parts import (
    PRETRAINED,
    check_arguments,
    find_part,
)

# Values that do not belong to the stored parameters, such as buffers of constants
UNSTORED = 2**24
MOST_PARTS = 1000


class ModelSettings(pydantic.BaseModel):
    """Top-level keys of a model folder; others may only be parts that are referenced."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, arbitrary_types_allowed=True
    )

    compute_features: torch.nn.Module
    segment: Callable
    normalize_by: str | None = None
    modules: dict[str, torch.nn.Module]
    aligner: Any = None
    transcriber: Any = None
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
    _check_keys(settings, path)
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
    try:
        return dict(ModelSettings(**built))
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise UntrustedError(
            f"{path}: {name}: {first['msg']}. {ADVICE}"
        ) from error


def _check_keys(settings: dict[str, Any], path: str | Path) -> None:
    """Refuse unknown keys, and modules that prediction does not use."""
    counts = {}
    parts = sum(
        _count_parts(v, settings, path, counts) for v in settings.values()
    )
    if parts > MOST_PARTS:
        raise UntrustedError(
            f"{path}: the settings describe {parts} parts; the limit is {MOST_PARTS}"
        )
    for key, value in settings.items():
        named = isinstance(value, Part) and key in counts
        if key not in KEYS and not named:
            raise UntrustedError(
                f"{path}: unknown key {key}. A model folder contains only "
                f"{', '.join(sorted(KEYS))}, and parts that these refer to."
            )
    modules = settings.get("modules")
    if not isinstance(modules, dict) or set(modules) != MODULES:
        raise UntrustedError(
            f"{path} is not a model: its modules must be {', '.join(sorted(MODULES))}"
        )


def _count_parts(
    value: Any, settings: dict[str, Any], path: str | Path, counts: dict
) -> int:
    """Return the number of parts in a value, with references replaced by copies.

    Refuses references without a target and references that form a cycle. ``counts``
    contains the numbers of the top-level keys, and None while one is counted.
    """
    if isinstance(value, Reference):
        name = value.name
        if name not in settings or counts.get(name, 0) is None:
            why = "refers to itself" if name in settings else "does not exist"
            raise _refusal(path, value, f"<{name}> {why}")
        if name not in counts:
            counts[name] = None
            counts[name] = _count_parts(settings[name], settings, path, counts)
        return counts[name]
    return isinstance(value, Part) + sum(
        _count_parts(each, settings, path, counts) for each in children(value)
    )


def _refusal(
    path: str | Path, node: Part | Reference, reason: str
) -> UntrustedError:
    return UntrustedError(f"{path}, line {node.line}: {reason}. {ADVICE}")


class _Builder:
    """Builds parsed values; each named value is built once."""

    def __init__(self, settings, path, pretrained):
        self.settings = settings
        self.path = path
        self.pretrained = (
            pretrained  # parts shared with other builders, by identity
        )
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
