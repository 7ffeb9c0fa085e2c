"""Statistics of validation and training set that a model folder contains."""

import json
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import Field

from speechbrain_can.features.quality import MEASURES
from speechbrain_can.io.files import InputError

STATISTICS = "statistics.json"

Score = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ModelStatistics(pydantic.BaseModel):
    """Statistics that a model folder stores.

    Arguments
    ---------
    conformal : dict of str: list of float
        Nonconformity scores of each class; see ``metrics.conformal``.
    ranges : dict of str: (float, float)
        Usual range of each measure; see ``features.quality``.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    conformal: dict[str, Annotated[list[Score], Field(max_length=100_000)]] = {}
    ranges: dict[str, tuple[Finite, Finite]] = {}

    @pydantic.field_validator("ranges")
    @classmethod
    def _known(cls, ranges):
        unknown = set(ranges) - set(MEASURES)
        if unknown:
            raise ValueError(f"unknown measures {sorted(unknown)}")
        return ranges

    def written(self) -> str:
        """Return compact JSON."""
        content = {
            "conformal": self.conformal,
            "ranges": {
                name: [round(value, 4) for value in ends]
                for name, ends in self.ranges.items()
            },
        }
        return json.dumps(content, separators=(",", ":"))


def read_statistics(
    path: Path, name: str | Path, classes: list[str]
) -> ModelStatistics:
    """Read statistics that may be untrusted; errors name the file as ``name``.

    Raises ``InputError`` if the file is damaged or belongs to other classes.
    """
    try:
        found = ModelStatistics.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name} is damaged: {place}: {first['msg']}. Copy or write the model "
            "folder again."
        ) from error
    if found.conformal and list(found.conformal) != classes:
        raise InputError(
            f"{name} is damaged: its classes differ from those of the model. Copy or "
            "write the model folder again."
        )
    return found
