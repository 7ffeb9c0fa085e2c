"""How far a metric could be from what was found on these utterances.

Authors
 * The speechbrain-can developers 2026
"""

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from speechbrain_can.results.metrics import METRICS

CONFIDENCE = 0.95
RESAMPLES = 1000


def bootstrap_intervals(predictions, unit="ID"):
    """Percentile intervals of every metric, by the bootstrap.

    Utterances of one speaker are more alike than those of several: drawing
    speakers instead of utterances says how far the metrics would be on other
    speakers, drawing utterances how far on others of the same ones.

    Arguments
    ---------
    predictions : pandas.DataFrame
        Columns ``true`` and ``predicted``, of all folds and seeds together, and
        ``unit``.
    unit : str
        The column whose values are drawn, with all of their rows.

    Returns
    -------
    dict of str: tuple of float
        Lower and upper end by metric, at ``CONFIDENCE``; None for a metric
        where there is one unit alone.

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
    pairs = predictions.groupby(["true", "predicted"])
    true, predicted = (np.array(values) for values in zip(*pairs.groups))
    counts = np.zeros((len(names), len(pairs)))
    np.add.at(counts, (units, pairs.ngroup()), 1)

    def interval(metric):
        """Of one metric."""

        def statistic(drawn):
            weights = np.bincount(drawn, minlength=len(names)) @ counts
            there = weights > 0
            return metric(true[there], predicted[there], weights[there])

        found = bootstrap(
            (np.arange(len(names)),),
            statistic,
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            random_state=np.random.default_rng(0),
        ).confidence_interval
        return float(found.low), float(found.high)

    return {name: interval(metric) for name, metric in METRICS.items()}
