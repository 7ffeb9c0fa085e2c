"""Bootstrap confidence intervals of the metrics."""

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from speechbrain_can.metrics.metrics import METRICS, class_numbers

CONFIDENCE = 0.95
RESAMPLES = 1000
BATCH = 100  # resamples that are in memory at a time


def bootstrap_intervals(
    predictions: pd.DataFrame, unit: str = "ID"
) -> dict[str, tuple[float, float] | None]:
    """Return percentile bootstrap intervals of every metric.

    Resampling utterances estimates how much a metric would vary on other
    utterances of the same speakers. Resampling speakers, with all of their
    utterances, estimates how much it would vary on other speakers, which is
    usually more.

    Arguments
    ---------
    predictions : pandas.DataFrame
        Predictions of all folds and seeds, with the columns ``true``,
        ``predicted`` and ``unit``.
    unit : str
        The column whose values are resampled, with all of their rows.

    Returns
    -------
    dict of str: tuple of float
        Lower and upper bound of each metric at the level ``CONFIDENCE``. None
        if there is only one unit.

    Example
    -------
    >>> table = pd.DataFrame(
    ...     {"ID": range(100), "true": "sad", "predicted": "sad"}
    ... )
    >>> bootstrap_intervals(table)["WA"]
    (1.0, 1.0)
    """
    units, names = pd.factorize(predictions[unit])
    if len(names) < 2:
        return dict.fromkeys(METRICS)
    (true, predicted), size = class_numbers(
        *(predictions[name].astype(str) for name in ("true", "predicted"))
    )
    counts = np.zeros((len(names), size * size))
    np.add.at(counts, (units, size * true + predicted), 1)

    def interval(metric):
        """Return the bounds of one metric."""

        def statistic(drawn, axis):
            times = np.apply_along_axis(
                np.bincount, axis, drawn, minlength=len(names)
            )
            confusion = (times @ counts).reshape(*times.shape[:-1], size, size)
            return metric(confusion)

        found = bootstrap(
            (np.arange(len(names)),),
            statistic,
            vectorized=True,
            batch=BATCH,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            random_state=np.random.default_rng(0),
        ).confidence_interval
        return float(found.low), float(found.high)

    return {name: interval(metric) for name, metric in METRICS.items()}
