"""Paired differences between systems and significance tests."""

import math

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from speechbrain_can.results.folds import check_comparable, read_predictions
from speechbrain_can.results.intervals import CONFIDENCE
from speechbrain_can.results.metrics import METRICS
from speechbrain_can.results.paper import REFERENCE

PERMUTATIONS = 9999


def summarise_systems(
    results: pd.DataFrame, reference: str = REFERENCE
) -> pd.DataFrame:
    """Return mean, standard deviation and paired difference to a reference system.

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


def corrected_difference(
    differences: pd.Series, test_share: float
) -> dict[str, float]:
    """Return the mean difference over folds with 95% interval and p-value.

    The t-test multiplies the variance by ``1/n + test_share`` instead of ``1/n``,
    because folds share training data (Nadeau and Bengio, "Inference for the
    generalization error", 2003); for ten folds, the interval of the plain test
    would be too narrow by a third. ``test_share`` is the number of test utterances
    divided by that of training utterances. If all differences are equal there is no
    variance to test with: ``p`` is NaN, or 1 if the differences are 0.
    """
    n, mean = len(differences), float(differences.mean())
    error = math.sqrt((1 / n + test_share) * float(differences.var(ddof=1)))
    margin = error * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    if error:
        p = 2 * stats.t.sf(abs(mean) / error, n - 1)
    else:
        p = math.nan if mean else 1.0
    return {
        "difference": mean,
        "low": mean - margin,
        "high": mean + margin,
        "p": float(p),
    }


def paired_test(ours: list[pd.DataFrame], theirs: list[pd.DataFrame]) -> float:
    """Test whether two systems have different accuracies on a single fold.

    One seed: McNemar's exact test. Several seeds: a permutation test of the signs
    of differences, where the score of an utterance is the number of seeds that
    predict it correctly; with one seed it equals McNemar's test.

    Arguments
    ---------
    ours, theirs : list of pandas.DataFrame
        Predictions of the same utterances, one table per seed.

    Returns
    -------
    float
        Two-sided p-value.
    """
    right, other = (
        pd.concat(
            [
                table.set_index("ID").eval("true == predicted")
                for table in tables
            ],
            axis=1,
        ).sum(axis=1)
        for tables in (ours, theirs)
    )
    differences = (right - other).to_numpy()
    if len(ours) == 1:
        won, lost = (differences > 0).sum(), (differences < 0).sum()
        return float(mcnemar([[0, won], [lost, 0]], exact=True).pvalue)
    return float(
        stats.permutation_test(
            (differences,),
            np.sum,
            permutation_type="samples",
            n_resamples=PERMUTATIONS,
            random_state=np.random.default_rng(0),
        ).pvalue
    )


def _with_holm(summary: pd.DataFrame) -> pd.DataFrame:
    """Apply Holm's correction to the p-values of each metric."""
    for metric in METRICS:
        if f"{metric} p" in summary:
            known = summary[f"{metric} p"].dropna()
            if not len(known):
                continue
            _, corrected, *_ = multipletests(known, method="holm")
            summary.loc[known.index, f"{metric} p"] = corrected
    return summary
