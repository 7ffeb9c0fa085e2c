"""Weighted and unweighted accuracy.

Authors
 * The speechbrain-can developers 2026
"""

import pandas as pd

METRICS = ("WA", "UA")


def accuracies(true, predicted):
    """Weighted and unweighted accuracy.

    WA is the share of utterances that are predicted correctly; UA is the mean
    of the recalls of the classes that are present.

    Arguments
    ---------
    true, predicted : sequence
        Classes, equally many.

    Returns
    -------
    dict of str: float
        ``WA`` and ``UA``.

    Example
    -------
    >>> accuracies(["sad", "sad", "sad", "ang"], ["sad", "sad", "sad", "neu"])
    {'WA': 0.75, 'UA': 0.5}
    """
    table = pd.DataFrame({"true": list(true), "predicted": list(predicted)})
    correct = table["true"] == table["predicted"]
    return {
        "WA": float(correct.mean()),
        "UA": float(correct.groupby(table["true"]).mean().mean()),
    }
