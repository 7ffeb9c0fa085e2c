"""How far a system is from another one, and how sure that is."""

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


def summarise_systems(results, reference=REFERENCE):
    """Each system's mean and deviation, and its paired difference to one of them.

    ``results`` is what ``collect`` returns; the table has a row a system. A
    fold's value is the mean over its seeds. ``p`` is that of
    ``corrected_difference`` or, for a single fold, of ``paired_test``, and
    corrected, metric by metric, for as many comparisons as there are systems
    beside the ``reference`` (Holm).

    Raises ``InputError`` for results on other folds than each other's.
    """
    check_comparable(results)
    beside = results[results["system"] == reference]
    rows = {}
    for system, own in results.groupby("system", sort=False):
        row = {
            "folds": own["fold"].nunique(),
            "seeds": own["seed"].nunique(),
        }
        folds = own.groupby("fold")[list(METRICS)].mean()
        paired = own.merge(
            beside, on=["seed", "fold"], suffixes=("", " of the other")
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


def corrected_difference(differences, test_share):
    """Mean difference over folds, its 95% interval and p-value.

    A t-test whose variance is multiplied by ``1/n + test_share`` rather than
    ``1/n``, since folds share training data (Nadeau and Bengio, "Inference for
    the generalization error", 2003): of ``n`` folds the interval of the plain
    test is too narrow, by a third for ten. ``test_share`` is the number of test
    utterances to that of training utterances. Differences that are all the same
    have no variance to test with: their ``p`` is NaN, or 1 where there is none.
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


def paired_test(ours, theirs):
    """The p-value of WA where there is one fold: are others right equally often?

    Of one seed McNemar's exact test. Of several, an utterance counts by how many
    seeds are right about it, and the signs of the differences are permuted, of
    which McNemar's test is the case with one seed.

    Arguments
    ---------
    ours, theirs : list of pandas.DataFrame
        What ``read_predictions`` returns, a table a seed, of the same utterances.

    Returns
    -------
    float
        The p-value, of two sides.
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


def _with_holm(summary):
    """Corrects the p-values of each metric for as many comparisons (Holm)."""
    for metric in METRICS:
        if f"{metric} p" in summary:
            known = summary[f"{metric} p"].dropna()
            if not len(known):
                continue
            _, corrected, *_ = multipletests(known, method="holm")
            summary.loc[known.index, f"{metric} p"] = corrected
    return summary
