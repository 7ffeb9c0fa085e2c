"""Conformal prediction: sets of classes that contain the label with a given probability.

The nonconformity score of an utterance is 1 minus the probability of its label. Scores
are calibrated per class (Mondrian conformal prediction; Vovk, Gammerman and Shafer,
"Algorithmic Learning in a Random World", 2005). Rare classes are then covered as often as
frequent ones.
"""

import math
from typing import Sequence

import numpy as np

from speechbrain_can.io.files import InputError

# Classes with fewer scores use those of all classes. Nine support a level of 0.9.
FEWEST = 9
DIGITS = 3  # of stored scores
LOWEST = 0.5  # confidence; sets below exclude most labels
Scores = dict[str, list[float]]  # sorted nonconformity scores by class


def nonconformity(
    probabilities: np.ndarray, targets: np.ndarray, classes: Sequence[str]
) -> Scores:
    """Return the sorted nonconformity scores of held-out utterances by class.

    Scores are rounded up, which makes sets larger rather than smaller.

    Arguments
    ---------
    probabilities : numpy.ndarray
        Predictions, ``[utterances, classes]``.
    targets : numpy.ndarray
        Class indices, ``[utterances]``.
    classes : list of str
        The classes.

    Returns
    -------
    dict of str: list of float
        Scores from 0 to 1.

    Example
    -------
    >>> nonconformity(
    ...     np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 0]), "ab"
    ... )
    {'a': [0.25, 0.5], 'b': []}
    """
    unit = 10**DIGITS
    scores = 1 - probabilities[np.arange(len(targets)), targets]
    rounded = np.minimum(np.ceil(scores * unit - 1e-6), unit) / unit
    return {
        name: np.sort(rounded[targets == i]).tolist()
        for i, name in enumerate(classes)
    }


def thinned(scores: Scores, most: int) -> Scores:
    """Return at most ``most`` scores per class with about the same quantiles.

    A quantile is never smaller than that of all scores.

    Example
    -------
    >>> thinned({"a": [0.1, 0.2, 0.3, 0.4, 0.5]}, 2)
    {'a': [0.2, 0.4]}
    """
    return {
        name: own
        if len(own) <= most
        else [
            own[math.ceil(i * (len(own) + 1) / (most + 1)) - 1]
            for i in range(1, most + 1)
        ]
        for name, own in scores.items()
    }


def merged(parts: Sequence[Scores]) -> Scores:
    """Return the scores of several models with the same classes."""
    return {
        name: sorted(score for own in parts for score in own[name])
        for name in parts[0]
    }


def pooled_classes(scores: Scores) -> list[str]:
    """Return the classes with too few scores, which use those of all classes."""
    return [name for name, own in scores.items() if len(own) < FEWEST]


def check_confidence(scores: Scores, confidence: float) -> None:
    """Refuse a level that the number of scores does not support.

    A set can exclude a class at the level c only if there are c / (1 - c) scores.
    Raises ``InputError``.
    """
    if not LOWEST <= confidence < 1:
        raise InputError(
            f"the confidence is {confidence:g}. Use a number from {LOWEST} to below 1, "
            "such as 0.9."
        )
    every = sum(map(len, scores.values()))
    counts = {
        name if len(own) >= FEWEST else "all classes together": (
            len(own) if len(own) >= FEWEST else every
        )
        for name, own in scores.items()
    }
    name = min(counts, key=counts.get)
    highest = counts[name] / (counts[name] + 1)
    if confidence > highest + 1e-9:
        raise InputError(
            f"this model does not support a confidence of {confidence:g}: it has "
            f"{counts[name]} held-out scores for {name}. The highest supported "
            f"confidence is {math.floor(1000 * highest) / 1000:g}."
        )


def emotion_sets(
    scores: Scores, probabilities: np.ndarray, confidence: float
) -> list[list[str]]:
    """Return the sets of classes that contain the labels with a given probability.

    This holds if utterances are like the held-out ones. A set with several classes
    means that the model cannot distinguish them; an empty one that the utterance is
    unlike all held-out ones.

    Arguments
    ---------
    scores : dict of str: list of float
        Result of ``nonconformity``.
    probabilities : numpy.ndarray
        Predictions, ``[utterances, classes]``, in the order of ``scores``.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    list of list of str
        Classes in decreasing order of probability, for each utterance.

    Example
    -------
    >>> scores = {"a": [0.1, 0.2, 0.4] * 5, "b": [0.1, 0.3, 0.5] * 5}
    >>> emotion_sets(scores, np.array([[0.95, 0.05], [0.5, 0.5]]), 0.8)
    [['a'], ['b']]
    """
    # Importing crepes takes a second, which other predictions do not need.
    from crepes import ConformalClassifier

    check_confidence(scores, confidence)
    every = [score for own in scores.values() for score in own]
    pooled = pooled_classes(scores)
    p_values = np.empty(probabilities.shape)
    for i, (name, own) in enumerate(scores.items()):
        fitted = ConformalClassifier().fit(
            np.array(every if name in pooled else own)
        )
        p_values[:, i] = fitted.predict_p(
            1 - probabilities[:, i : i + 1], smoothing=False
        )[:, 0]
    names = list(scores)
    return [
        [
            names[i]
            for i in np.argsort(-own, kind="stable")
            if p[i] > 1 - confidence + 1e-9
        ]
        for own, p in zip(probabilities, p_values)
    ]


def coverage(
    sets: Sequence[Sequence[str]], true: Sequence[str]
) -> dict[str, float]:
    """Return the coverage of sets and their sizes.

    ``coverage`` is the share of sets that contain the label, ``size`` their mean size,
    ``single`` the share with one class, and ``single correct`` the accuracy of those.

    Example
    -------
    >>> found = coverage([["a"], ["a", "b"], ["b"]], ["a", "b", "a"])
    >>> round(found["coverage"], 2), found["single correct"]
    (0.67, 0.5)
    """
    hits = np.array([name in own for own, name in zip(sets, true)])
    sizes = np.array([len(own) for own in sets])
    return {
        "coverage": float(hits.mean()),
        "size": float(sizes.mean()),
        "single": float((sizes == 1).mean()),
        "single correct": float(hits[sizes == 1].mean())
        if (sizes == 1).any()
        else math.nan,
    }


def rejection_curve(
    probabilities: np.ndarray, correct: np.ndarray, points: int = 11
) -> list[tuple[float, float, float]]:
    """Return the accuracy of the most confident utterances.

    Arguments
    ---------
    probabilities : numpy.ndarray
        Probability of the predicted class, ``[utterances]``.
    correct : numpy.ndarray
        Whether it is the label, ``[utterances]``.
    points : int
        Number of shares between 0 and 1.

    Returns
    -------
    list of (float, float, float)
        Share of rejected utterances, accuracy of the others, and their lowest
        probability.

    Example
    -------
    >>> rejection_curve(np.array([0.9, 0.6]), np.array([True, False]), points=3)
    [(0.0, 0.5, 0.6), (0.5, 1.0, 0.9)]
    """
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(correct[order])
    found = []
    for share in np.linspace(0, 1, points)[:-1]:
        kept = max(1, len(order) - round(share * len(order)))
        found.append(
            (
                float(share),
                float(hits[kept - 1] / kept),
                float(probabilities[order[kept - 1]]),
            )
        )
    return found
