import numpy as np
import pytest
import torch
from helpers.seeds import shifted

from speechbrain_can.lobes.attention import Contexts
from speechbrain_can.lobes.classifiers import CrossClassifier
from speechbrain_can.lobes.dimensions import (
    DimensionClassifier,
    DimensionLoss,
    concordance,
    decide_dimensions,
    standardized,
)
from speechbrain_can.metrics.dimensions import ccc, evaluate_dimensions


def slow_ccc(values, labels):
    """Return the concordance correlation coefficient, written with loops."""
    pairs = [(v, y) for v, y in zip(values, labels) if y == y]
    n = len(pairs)
    mean_v = sum(v for v, _ in pairs) / n
    mean_y = sum(y for _, y in pairs) / n
    var_v = sum((v - mean_v) ** 2 for v, _ in pairs) / n
    var_y = sum((y - mean_y) ** 2 for _, y in pairs) / n
    cov = sum((v - mean_v) * (y - mean_y) for v, y in pairs) / n
    return 2 * cov / (var_v + var_y + (mean_v - mean_y) ** 2)


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(shifted(0))
    values = torch.randn(40, 3, generator=generator)
    labels = values + torch.randn(40, 3, generator=generator) + 1
    labels[::4, 1] = float("nan")
    return values, labels


def test_concordance_equals_a_loop(drawn):
    values, labels = drawn
    found = concordance(values, labels)
    scores = evaluate_dimensions(values.numpy(), labels.numpy(), "abc")
    for i, name in enumerate("abc"):
        expected = slow_ccc(values[:, i].tolist(), labels[:, i].tolist())
        assert found[i].item() == pytest.approx(expected, abs=1e-5)
        assert scores[name]["CCC"] == pytest.approx(expected, abs=1e-5)
    assert scores["b"]["n"] == 30
    mean = np.mean([scores[name]["CCC"] for name in "abc"])
    assert scores["CCC"] == pytest.approx(mean)


def test_constant_predictions_have_no_concordance():
    labels = np.array([1.0, 2.0, 3.0])
    assert ccc(np.full(3, 2.0), labels) == 0
    assert ccc(np.full(3, 2.0), np.full(3, 2.0)) == 0
    few = np.array([[1.0], [np.nan], [np.nan]])
    assert ccc(labels, few[:, 0]) is None
    found = evaluate_dimensions(labels[:, None], few, ["a"])
    assert found == {"CCC": None, "a": {"CCC": None, "MSE": 0.0, "n": 1}}


def test_loss_ignores_missing_labels(drawn):
    values, labels = drawn
    values.requires_grad_()
    loss = DimensionLoss(ccc_weight=1.0, mse_weight=0.5)
    found = loss({"joint": values}, labels)["joint"]
    known = ~labels.isnan()
    mse = ((values - labels)[known] ** 2).mean()
    expected = 1 - concordance(values, labels).mean() + 0.5 * mse
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    found.backward()
    assert values.grad.isfinite().all()
    assert (values.grad[::4, 1] == 0).all()
    # a batch without any label
    nothing = torch.full_like(labels, float("nan"))
    loss({"joint": values}, nothing)["joint"].backward()
    assert values.grad.isfinite().all()


def contexts():
    generator = torch.Generator().manual_seed(shifted(1))
    each = torch.randn(4, 8, 6, generator=generator).requires_grad_()
    return each, Contexts(*each)


@pytest.mark.parametrize("emotion_weight", [0.0, 1.0])
def test_emotions_train_the_contexts_unless_their_weight_is_0(emotion_weight):
    classifier = DimensionClassifier(
        CrossClassifier(6, 4), 6, emotion_weight=emotion_weight
    )
    each, given = contexts()
    output = classifier(given)
    output.logits["joint"].sum().backward(retain_graph=True)
    assert (each.grad is None) == (not emotion_weight)
    each.grad = None
    output.values["joint"].sum().backward()
    assert each.grad.abs().sum() > 0


def test_labels_are_standardized():
    classifier = DimensionClassifier(CrossClassifier(6, 4), 6, n_dimensions=2)
    labels = torch.tensor([[1.0, 10.0], [3.0, float("nan")], [5.0, 30.0]])
    classifier.fit_dimensions(labels)
    _, given = contexts()
    output = classifier(given)
    scaled = standardized(output, labels)
    assert scaled[:, 0].mean().item() == pytest.approx(0, abs=1e-6)
    assert scaled[:, 0].std(unbiased=False).item() == pytest.approx(1)
    assert scaled[1, 1].isnan()
    weights = {"joint": 1.0, "text": 0.1, "audio": 0.1}
    expected = sum(weights[k] * output.values[k] for k in weights) / 1.2
    mean, std = torch.tensor([3.0, 20.0]), torch.tensor([8 / 3, 100]).sqrt()
    assert torch.allclose(
        decide_dimensions(output), expected * std + mean, atol=1e-5
    )
