"""Each metric against its formula, by counting."""

import numpy as np
import pytest

from speechbrain_can.results.metrics import METRICS, evaluate, recalls


def test_metrics_by_counting():
    generator = np.random.default_rng(0)
    true = generator.choice(["ang", "sad", "neu"], 200, p=[0.7, 0.2, 0.1])
    # one class is only ever predicted
    predicted = generator.choice(["ang", "sad", "neu", "sur"], 200)
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


def test_class_numbers_do_as_well():
    found = evaluate([0, 0, 1], [0, 1, 1])
    assert found["WA"] == pytest.approx(2 / 3) and found["UA"] == 0.75


def test_nothing_right_is_zero():
    assert set(evaluate(["ang", "sad"], ["sad", "ang"]).values()) == {0.0}
