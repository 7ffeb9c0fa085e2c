"""Metrics of emotional dimensions."""

from typing import Sequence

import numpy as np

CCC = "CCC"  # mean over dimensions; also an early stopping metric


def ccc(values: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the concordance correlation coefficient; see ``lobes.dimensions``.

    NaN labels are ignored; None without two labels.

    Example
    -------
    >>> round(ccc(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0])), 4)
    0.5714
    """
    known = ~np.isnan(labels)
    values, labels = values[known].astype(float), labels[known].astype(float)
    if len(labels) < 2:
        return None
    covariance = np.mean((values - values.mean()) * (labels - labels.mean()))
    spread = values.var() + labels.var() + (values.mean() - labels.mean()) ** 2
    # Equal constants agree, but do not vary together.
    return float(2 * covariance / spread) if spread else 0.0


def evaluate_dimensions(
    values: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> dict:
    """Return CCC and MSE of each dimension, and the mean CCC.

    Arguments
    ---------
    values : numpy.ndarray
        Predictions, ``[utterances, dimensions]``.
    labels : numpy.ndarray
        Labels, ``[utterances, dimensions]``; NaN if missing.
    names : list of str
        Names of the dimensions.

    Returns
    -------
    dict
        ``CCC``, ``MSE`` and ``n`` of each dimension by its name, and ``CCC``, the mean
        over dimensions with labels. None if there are too few labels.

    Example
    -------
    >>> labels = np.array([[1.0], [2.0], [3.0]])
    >>> evaluate_dimensions(labels + 1, labels, ["arousal"])["arousal"]["MSE"]
    1.0
    """
    found = {}
    for i, name in enumerate(names):
        known = ~np.isnan(labels[:, i])
        errors = (values[known, i] - labels[known, i]) ** 2
        found[name] = {
            "CCC": ccc(values[:, i], labels[:, i]),
            "MSE": float(errors.mean()) if known.any() else None,
            "n": int(known.sum()),
        }
    scores = [each["CCC"] for each in found.values()]
    valid = [score for score in scores if score is not None]
    return {CCC: sum(valid) / len(valid) if valid else None, **found}
