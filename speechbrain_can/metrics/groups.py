"""Results by group of utterances, such as speakers, sexes or corpora."""

import math
from itertools import pairwise
from typing import Sequence

import numpy as np
import pandas as pd
import torch

from speechbrain_can.metrics.calibration import calibration_error
from speechbrain_can.metrics.intervals import CONFIDENCE, RESAMPLES
from speechbrain_can.metrics.metrics import (
    METRICS,
    class_numbers,
    evaluate,
    recalls,
)

SMALLEST = 20  # utterances of a group with scores
BINS = 4  # of numeric columns
DISTINCT = 6  # numeric columns with at most so many values have no bins
METRIC = "UA"  # whose gap between groups is reported
BATCH = 50  # resamples that are in memory at a time


def binned(values: pd.Series, bins: int = BINS) -> pd.Series:
    """Replace numbers by ranges with similar counts; other values are unchanged.

    Columns with few different numbers, such as the intensities 1 and 2, are unchanged.

    Example
    -------
    >>> binned(pd.Series(["1.5", "2", "3", "4", "5", "6", "7", "8.25"])).iloc[0]
    '1.5 to 2.75'

    The result is an ordered categorical series. With one bin, numbers are unchanged:
    those of speakers are names.
    """
    text = values.astype(str)
    numbers = pd.to_numeric(values, errors="coerce")
    # One value that is not a number, such as "unknown", keeps its own group.
    others = sorted(set(text[numbers.isna()]))
    if len(others) > 1 or numbers.nunique() <= DISTINCT or bins < 2:
        # 2 comes before 10
        order = {
            name: (0.0 if pd.isna(number) else number, name)
            for name, number in zip(text, numbers)
        }
        return text.astype(
            pd.CategoricalDtype(sorted(order, key=order.get), ordered=True)
        )
    ranges = pd.qcut(numbers, bins, duplicates="drop")
    edges = [numbers.min(), *(each.right for each in ranges.cat.categories)]
    names = next(
        names
        for digits in range(3, 18)
        for names in [
            [f"{a:.{digits}g} to {b:.{digits}g}" for a, b in pairwise(edges)]
        ]
        if len(set(names)) == len(names)
    )
    named = ranges.cat.rename_categories(names).cat.add_categories(others)
    return named.fillna(others[0]) if others else named


def group_results(
    predictions: pd.DataFrame,
    groups: pd.Series,
    classes: Sequence[str],
    speakers: Sequence[str] | None = None,
    smallest: int = SMALLEST,
) -> tuple[pd.DataFrame, dict]:
    """Return metrics, recalls and calibration of each group, and the gap between groups.

    Intervals are percentile bootstrap intervals over speakers. Groups with a single
    speaker are resampled by utterance, and so is everything if speakers are unknown.

    Arguments
    ---------
    predictions : pandas.DataFrame
        Columns ``ID``, ``true``, ``predicted`` and one probability per class.
    groups : pandas.Series
        Group of each row, categorical; the result of ``binned``.
    classes : list of str
        The classes.
    speakers : sequence of str or None
        Speaker of each row.
    smallest : int
        Groups with fewer utterances are only counted.

    Returns
    -------
    table : pandas.DataFrame
        One row per group: ``n``, ``speakers``, every metric with ``UA low`` and
        ``UA high``, ``over`` (the resampled units), ``recall of <class>`` and ``ECE``.
    gap : dict
        ``gap`` is the largest difference in UA between two groups, ``best`` and
        ``worst``. ``low`` and ``high`` are the interval of the difference between these
        two, which were chosen as the extremes; it is not a test. Empty with fewer than
        two groups of sufficient size.

    Example
    -------
    >>> table = pd.DataFrame(
    ...     {
    ...         "ID": list("abcd"),
    ...         "true": ["sad", "ang"] * 2,
    ...         "predicted": ["sad", "ang", "sad", "sad"],
    ...         "ang": [0.1, 0.9, 0.1, 0.4],
    ...         "sad": [0.9, 0.1, 0.9, 0.6],
    ...     }
    ... )
    >>> results, gap = group_results(
    ...     table, binned(pd.Series(list("ffmm"))), ["ang", "sad"], smallest=2
    ... )
    >>> results["UA"].to_dict(), gap["gap"]
    ({'f': 1.0, 'm': 0.5}, 0.5)
    """
    # Importing fairlearn takes a second, which training does not need.
    from fairlearn.metrics import MetricFrame

    order = [str(name) for name in groups.cat.categories]
    keys = pd.Series(groups.astype(str).to_numpy(), index=predictions.index)
    units = (
        predictions["ID"]
        if speakers is None
        else pd.Series(list(speakers), index=predictions.index)
    )
    counts = pd.DataFrame(
        {
            "n": predictions["ID"].groupby(keys).nunique(),
            "speakers": units.groupby(keys).nunique(),
        }
    ).reindex(order)
    if speakers is None:
        counts = counts.drop(columns="speakers")
    large = counts.index[counts["n"] >= smallest]
    if not len(large):
        return counts, {}
    kept = keys.isin(large)
    scored, keys = predictions[kept], keys[kept]
    frame = MetricFrame(
        metrics={
            name: lambda true, predicted, name=name: evaluate(
                list(true), list(predicted)
            )[name]
            for name in METRICS
        },
        y_true=scored["true"],
        y_pred=scored["predicted"],
        sensitive_features=keys.to_numpy(),
    )
    table = counts.join(frame.by_group.astype(float))
    single = speakers is None or (counts.loc[large, "speakers"] < 2)
    one = list(large) if speakers is None else list(large[single])
    for over, names in (
        ("utterances", one),
        ("speakers", [name for name in large if name not in one]),
    ):
        if not names:
            continue
        unit = (scored["ID"] if over == "utterances" else units)[scored.index]
        drawn = _resampled(scored, keys, unit, names)
        for name, values in zip(names, drawn.T):
            table.loc[name, ["UA low", "UA high"]] = _ends(values)
            table.loc[name, "over"] = over
    for name, own in scored.groupby(keys):
        found = recalls(list(own["true"]), list(own["predicted"]))
        for label in classes:
            table.loc[name, f"recall of {label}"] = found.get(label, math.nan)
        table.loc[name, "ECE"] = calibration_error(
            torch.tensor(own[list(classes)].to_numpy(dtype="float32")),
            torch.tensor([classes.index(label) for label in own["true"]]),
        )
    if len(large) < 2:
        return table, {}
    over = "utterances" if one else "speakers"
    unit = (scored["ID"] if one else units)[scored.index]
    best, worst = table[METRIC].idxmax(), table[METRIC].idxmin()
    drawn = _resampled(scored, keys, unit, [best, worst])
    low, high = _ends(drawn[:, 0] - drawn[:, 1])
    gap = {
        "gap": float(frame.difference(method="between_groups")[METRIC]),
        "low": low,
        "high": high,
        "over": over,
        "best": best,
        "worst": worst,
    }
    return table, gap


def _resampled(
    predictions: pd.DataFrame,
    keys: pd.Series,
    units: pd.Series,
    names: Sequence[str],
) -> np.ndarray:
    """Return the UA of groups in bootstrap resamples of units, ``[resamples, groups]``.

    NaN if a resample does not contain the group.
    """
    own = keys.isin(names)
    (true, predicted), size = class_numbers(
        *(predictions.loc[own, n].astype(str) for n in ("true", "predicted"))
    )
    unit, found = pd.factorize(units[own])
    group = keys[own].map({name: i for i, name in enumerate(names)}).to_numpy()
    counts = np.zeros((len(found), len(names) * size * size))
    np.add.at(counts, (unit, (group * size + true) * size + predicted), 1)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(0, RESAMPLES, BATCH):
        times = generator.multinomial(
            len(found), np.full(len(found), 1 / len(found)), size=BATCH
        )
        confusion = (times @ counts).reshape(BATCH, len(names), size, size)
        with np.errstate(invalid="ignore"):
            drawn.append(METRICS[METRIC](confusion))
    return np.concatenate(drawn)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Return the bounds of the percentile interval."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
