"""Paired differences between systems."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.metrics.significance import (
    corrected_difference,
    paired_test,
)
from speechbrain_can.report.paper import REFERENCE
from speechbrain_can.runs.predictions import read_predictions
from speechbrain_can.runs.summary import check_comparable


def summarize_systems(
    results: pd.DataFrame, reference: str = REFERENCE
) -> pd.DataFrame:
    """Return mean, standard deviation and paired difference from a reference system.

    ``results`` is the result of ``collect``; the table has one row per system. The
    value of a fold is the mean over its seeds. p-values come from
    ``corrected_difference`` or, for a single fold, from ``paired_test``, with Holm's
    correction for the number of comparisons per metric.

    Raises ``InputError`` for results on different folds.
    """
    check_comparable(results)
    baseline = results[results["system"] == reference]
    rows = {}
    for system, own in results.groupby("system", sort=False):
        row = {
            "folds": own["fold"].nunique(),
            "seeds": own["seed"].nunique(),
        }
        folds = own.groupby("fold")[list(METRICS)].mean()
        paired = own.merge(
            baseline, on=["seed", "fold"], suffixes=("", " of the other")
        )
        for metric in METRICS:
            row[f"{metric} mean"] = folds[metric].mean()
            row[f"{metric} std"] = folds[metric].std()
            if system != reference and len(paired):
                found = _paired_difference(paired, metric)
                row.update({f"{metric} {k}": v for k, v in found.items()})
        rows[system] = row
    return _with_holm(pd.DataFrame(rows.values(), index=rows))


def _paired_difference(paired, metric):
    columns = [metric, f"{metric} of the other", "n_test", "n_train"]
    by_fold = paired.groupby("fold")[columns].mean()
    differences = by_fold[metric] - by_fold[f"{metric} of the other"]
    if len(by_fold) > 1:
        test_share = (by_fold["n_test"] / by_fold["n_train"]).mean()
        return corrected_difference(differences, test_share)
    found = {"difference": float(differences.iloc[0])}
    if metric == "WA":
        found["p"] = paired_test(
            *(
                [read_predictions(path) for path in paired[column]]
                for column in ("path", "path of the other")
            )
        )
    return found


def _with_holm(summary: pd.DataFrame) -> pd.DataFrame:
    """Apply Holm's correction to the p-values of each metric.

    Comparisons without a p-value count as well.
    """
    for metric in METRICS:
        if f"{metric} p" in summary:
            compared = summary[f"{metric} difference"].notna()
            p = summary.loc[compared, f"{metric} p"]
            _, corrected, *_ = multipletests(p.fillna(1.0), method="holm")
            summary.loc[compared, f"{metric} p"] = np.where(
                p.isna(), np.nan, corrected
            )
    return summary
