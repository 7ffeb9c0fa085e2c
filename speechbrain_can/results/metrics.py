"""The one list of metrics: results, tables, reports and early stopping read it.

To add one, write a function here and name it in ``METRICS``. Their formulas are
in ``docs/metrics.md``; ``calibration`` has the expected calibration error.

Authors
 * The speechbrain-can developers 2026
"""

import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
)


def weighted_accuracy(true, predicted, weights=None):
    """The share of utterances that are predicted correctly."""
    return accuracy_score(true, predicted, sample_weight=weights)


def unweighted_accuracy(true, predicted, weights=None):
    """The mean of the recalls of the classes that are present."""
    return recall_score(
        true,
        predicted,
        labels=sorted(set(true)),
        average="macro",
        sample_weight=weights,
        zero_division=0,
    )


def macro_f1(true, predicted, weights=None):
    """The mean over the classes present of 2 PR / (P + R)."""
    return f1_score(
        true,
        predicted,
        labels=sorted(set(true)),
        average="macro",
        sample_weight=weights,
        zero_division=0,
    )


# Of two values of a metric the higher one is the better one.
METRICS = {
    "WA": weighted_accuracy,
    "UA": unweighted_accuracy,
    "macro-F1": macro_f1,
}


def evaluate(true, predicted):
    """Every metric by name, of equally many true and predicted classes.

    Example
    -------
    >>> found = evaluate(
    ...     ["sad", "sad", "sad", "ang"], ["sad", "sad", "sad", "neu"]
    ... )
    >>> found["WA"], found["UA"], found["macro-F1"]
    (0.75, 0.5, 0.5)
    """
    return {
        name: float(metric(true, predicted)) for name, metric in METRICS.items()
    }


def recalls(true, predicted):
    """Recall of each class that is present.

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


def confusion(true, predicted, classes):
    """How often a class (rows) is taken for which (columns): a DataFrame.

    Example
    -------
    >>> confusion(["sad", "ang"], ["sad", "sad"], ["ang", "sad"]).loc[
    ...     "ang"
    ... ].tolist()
    [0, 1]
    """
    counts = confusion_matrix(true, predicted, labels=classes)
    return pd.DataFrame(counts, index=classes, columns=classes)
