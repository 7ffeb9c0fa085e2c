"""The metrics of results, tables, reports and early stopping.

A metric is a function of a confusion matrix ``[..., true, predicted]``. To add
one, write a function here and add it to ``METRICS``. ``docs/metrics.md`` has the
formulas; ``calibration`` has the expected calibration error."""

from typing import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, recall_score


def weighted_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of correct predictions (accuracy)."""
    return _hits(confusion).sum(-1) / confusion.sum((-2, -1))


def unweighted_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes present (UAR)."""
    present = confusion.sum(-1)
    return _mean_over_present(_hits(confusion), present, present)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 score of the classes present."""
    present = confusion.sum(-1)
    both = present + confusion.sum(-2)
    return _mean_over_present(2 * _hits(confusion), both, present)


def _hits(confusion):
    """Return the correct predictions of each class, ``[..., classes]``."""
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _mean_over_present(part, whole, present):
    """Average ``part / whole`` over the classes with ``present > 0``."""
    there = present > 0
    shares = np.divide(part, whole, out=np.zeros(part.shape), where=there)
    return shares.sum(-1) / there.sum(-1)


# Higher values are better.
METRICS = {
    "WA": weighted_accuracy,
    "UA": unweighted_accuracy,
    "macro-F1": macro_f1,
}


def class_numbers(
    true: Sequence[str], predicted: Sequence[str]
) -> tuple[np.ndarray, int]:
    """Return the classes as numbers, ``[2, utterances]``, and their count."""
    classes, numbers = np.unique([true, predicted], return_inverse=True)
    return numbers.reshape(2, -1), len(classes)


def evaluate(true: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """Return every metric by name, from true and predicted classes.

    Example
    -------
    >>> found = evaluate(
    ...     ["sad", "sad", "sad", "ang"], ["sad", "sad", "sad", "neu"]
    ... )
    >>> found["WA"], found["UA"], found["macro-F1"]
    (0.75, 0.5, 0.5)
    """
    (rows, columns), size = class_numbers(true, predicted)
    counts = np.zeros((size, size))
    np.add.at(counts, (rows, columns), 1)
    return {name: float(metric(counts)) for name, metric in METRICS.items()}


def recalls(true: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """Return the recall of each class that is present.

    Example
    -------
    >>> recalls(["sad", "sad", "ang"], ["sad", "ang", "ang"])
    {'ang': 1.0, 'sad': 0.5}
    """
    classes = sorted(set(true))
    found = recall_score(
        true, predicted, labels=classes, average=None, zero_division=0
    )
    return dict(zip(classes, found.tolist()))


def recall_over_chance(
    hits: np.ndarray, counts: np.ndarray
) -> tuple[float, float, bool]:
    """Return the UA of a classifier, chance, and whether the UA is at chance.

    ``hits`` of ``counts`` utterances of each class are correct. A classifier is at
    chance unless its UA is above the chance by 1.96 standard errors of guessing.

    Example
    -------
    >>> recall_over_chance(np.array([12, 9]), np.array([20, 20]))
    (0.525, 0.5, True)
    """
    present = counts > 0
    shares = hits[present] / counts[present]
    recall, chance = shares.mean(), 1 / present.sum()
    variance = (chance * (1 - chance) / counts[present]).sum()
    at_chance = recall - chance <= 1.96 * np.sqrt(variance) * chance
    return float(recall), float(chance), bool(at_chance)


def confusion(
    true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> pd.DataFrame:
    """Return the confusion matrix: reference classes as rows, predictions as columns.

    Example
    -------
    >>> confusion(["sad", "ang"], ["sad", "sad"], ["ang", "sad"]).loc[
    ...     "ang"
    ... ].tolist()
    [0, 1]
    """
    counts = confusion_matrix(true, predicted, labels=classes)
    return pd.DataFrame(counts, index=classes, columns=classes)
