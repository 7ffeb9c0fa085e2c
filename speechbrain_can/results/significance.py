"""How far a system is from another one, and how sure that is.

Authors
 * The speechbrain-can developers 2026
"""

import pandas as pd
from scipy import stats

from speechbrain_can.results.metrics import METRICS
from speechbrain_can.results.paper import REFERENCE

CONFIDENCE = 0.95


def summarise_systems(results):
    """Mean and deviation of each system, and its paired difference to CAN.

    Arguments
    ---------
    results : pandas.DataFrame
        What ``collect`` returns.

    Returns
    -------
    pandas.DataFrame
        A row a system: the number of ``folds``, of ``seeds``, of ``runs`` (one
        fold with one seed) and of ``pairs`` with a run of CAN; for each metric
        ``mean`` and sample ``std`` over folds, and where CAN has folds in
        common ``difference`` with the bounds ``low`` and ``high`` of its 95%
        confidence interval (from two folds on); mean ``seconds`` a fold.

    Example
    -------
    >>> results = pd.DataFrame(
    ...     [("can", 1, 0, 0.5, 0.4, 9.0), ("can", 1, 1, 0.7, 0.6, 9.0)]
    ...     + [("other", 1, 0, 0.4, 0.4, 5.0), ("other", 1, 1, 0.5, 0.4, 5.0)],
    ...     columns=["system", "seed", "fold", "WA", "UA", "seconds"],
    ... )
    >>> print(f"{summarise_systems(results).loc['other', 'WA difference']:.2f}")
    -0.15
    """
    reference = results[results["system"] == REFERENCE]
    rows = {}
    for system, own in results.groupby("system", sort=False):
        row = {
            "folds": own["fold"].nunique(),
            "seeds": own["seed"].nunique(),
            "runs": len(own),
        }
        folds = own.groupby("fold")[list(METRICS)].mean()
        paired = own.merge(reference, on=["seed", "fold"])
        for metric in METRICS:
            row[f"{metric} mean"] = folds[metric].mean()
            row[f"{metric} std"] = folds[metric].std()
            row["pairs"] = len(paired)
            if system != REFERENCE and len(paired):
                columns = [f"{metric}_x", f"{metric}_y"]
                pairs = paired.groupby("fold")[columns].mean()
                difference = _paired_difference(*pairs.to_numpy().T)
                for name, value in difference.items():
                    row[f"{metric} {name}"] = value
        row["seconds"] = own["seconds"].mean()
        rows[system] = row
    return pd.DataFrame(rows.values(), index=rows)


def _paired_difference(ours, reference):
    row = {"difference": (ours - reference).mean()}
    if len(ours) > 1:
        test = stats.ttest_rel(ours, reference)
        row["low"], row["high"] = test.confidence_interval(CONFIDENCE)
    return row
