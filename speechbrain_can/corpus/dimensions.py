"""Labels of emotional dimensions: columns of the manifest such as ``arousal``."""

import math
from typing import Sequence

import numpy as np

from speechbrain.utils.logger import get_logger
from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.corpus.names import is_missing
from speechbrain_can.corpus.prepared import CorpusError

logger = get_logger(__name__)


def read_dimensions(
    utterances: dict[str, Utterance],
    columns: Sequence[str],
    limits: Sequence[float] | None = None,
) -> dict[str, np.ndarray]:
    """Return the labels of dimensions ``[dimensions]`` by ID; NaN if missing.

    Arguments
    ---------
    utterances : dict of str: Utterance
        Utterances by ID.
    columns : list of str
        Columns of the manifest.
    limits : (float, float) or None
        Smallest and greatest valid label.

    Returns
    -------
    dict of str: numpy.ndarray
        The labels.

    Raises
    ------
    CorpusError
        If the manifest lacks a column, a label is not a number within the limits, or
        a column contains no label.
    """
    labels, missing = {}, dict.fromkeys(columns, 0)
    for name, utterance in utterances.items():
        row = np.full(len(columns), np.nan, dtype="float32")
        for i, column in enumerate(columns):
            if column not in utterance.extra:
                raise CorpusError(
                    f"the manifest has no column {column}. Its additional columns "
                    f"are {', '.join(sorted(utterance.extra)) or 'none'}."
                )
            value = utterance.extra[column]
            if is_missing(value):
                missing[column] += 1
                continue
            row[i] = _number(name, column, value, limits)
        labels[name] = row
    for column, count in missing.items():
        if count == len(labels):
            raise CorpusError(f"no utterance has a label for {column}")
        if count:
            logger.warning(
                "%d of %d utterances have no %s and are not used to train it",
                count,
                len(labels),
                column,
            )
    return labels


def check_labels(labels: np.ndarray, columns: Sequence[str], part: str) -> None:
    """Refuse labels ``[utterances, dimensions]`` of a set that do not vary."""
    for i, column in enumerate(columns):
        known = labels[:, i][~np.isnan(labels[:, i])]
        if not len(known):
            raise CorpusError(
                f"no {part} utterance has a label for {column}. Choose other folds "
                f"or remove {column} from dimensions."
            )
        if known.min() == known.max():
            raise CorpusError(
                f"{column} is {known[0]:g} for all {part} utterances, so it cannot "
                "be learned. Remove it from dimensions, or choose other folds."
            )


def _number(
    name: str, column: str, text: str, limits: Sequence[float] | None
) -> float:
    """Convert a label."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    low, high = limits or (-math.inf, math.inf)
    if not (math.isfinite(value) and low <= value <= high):
        wanted = "a number" if limits is None else f"from {low:g} to {high:g}"
        raise CorpusError(
            f"{name}: {column} is {text!r}. It must be {wanted} (dimension_range); "
            "leave it empty if it is unknown."
        )
    return value
