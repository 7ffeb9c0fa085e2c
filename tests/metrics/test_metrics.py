"""Metrics compared with scikit-learn and with their formulas."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from speechbrain_can.metrics.metrics import METRICS, evaluate, recalls


def draw(n=200):
    """Return true and predicted classes; one class is only ever predicted."""
    generator = np.random.default_rng(0)
    true = generator.choice(["ang", "sad", "neu"], n, p=[0.7, 0.2, 0.1])
    return true, generator.choice(["ang", "sad", "neu", "sur"], n)


def test_metrics_by_counting():
    true, predicted = draw()
    found = evaluate(true, predicted)
    assert list(found) == list(METRICS)
    recall, f1 = {}, []
    for name in sorted(set(true)):
        hits = sum((true == name) & (predicted == name))
        recall[name] = hits / sum(true == name)
        precision = hits / sum(predicted == name)
        f1.append(2 * precision * recall[name] / (precision + recall[name]))
    assert found["WA"] == pytest.approx(np.mean(true == predicted))
    assert found["UA"] == pytest.approx(np.mean(list(recall.values())))
    assert found["macro-F1"] == pytest.approx(np.mean(f1))
    assert recalls(true, predicted) == pytest.approx(recall)


@pytest.mark.parametrize("n", [1, 2, 5, 200])
def test_metrics_match_scikit_learn(n):
    true, predicted = draw(n)
    found = evaluate(true, predicted)
    over_present = {
        "labels": sorted(set(true)),
        "average": "macro",
        "zero_division": 0,
    }
    assert found["WA"] == pytest.approx(accuracy_score(true, predicted))
    assert found["UA"] == pytest.approx(
        recall_score(true, predicted, **over_present)
    )
    assert found["macro-F1"] == pytest.approx(
        f1_score(true, predicted, **over_present)
    )


def test_several_confusion_matrices_at_once():
    matrices = np.random.default_rng(0).integers(0, 4, (5, 6, 3, 3)) + np.eye(3)
    matrices[::2, ::2, 0] = 0  # matrices without one of the classes
    for metric in METRICS.values():
        found = metric(matrices)
        assert found.shape == (5, 6)
        assert found[4, 2] == metric(matrices[4, 2])


def test_class_indices_and_shares_agree():
    found = evaluate([0, 0, 1], [0, 1, 1])
    assert found["WA"] == pytest.approx(2 / 3) and found["UA"] == 0.75


def test_all_wrong_scores_zero():
    assert set(evaluate(["ang", "sad"], ["sad", "ang"]).values()) == {0.0}
