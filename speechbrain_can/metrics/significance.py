"""Significance tests."""

import math

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from speechbrain_can.metrics.intervals import CONFIDENCE

PERMUTATIONS = 9999
ROUNDING = 1e-9  # scores that differ by less are equal


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
    if n > 1 and np.allclose(differences, mean, rtol=0, atol=ROUNDING):
        error = 0.0
    margin = error * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    if error:
        p = 2 * stats.t.sf(abs(mean) / error, n - 1)
    else:
        p = 1.0 if abs(mean) <= ROUNDING else math.nan
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
