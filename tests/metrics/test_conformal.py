import json

import numpy as np
import pytest
from helpers.seeds import shifted

from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.conformal import (
    FEWEST,
    check_confidence,
    coverage,
    emotion_sets,
    nonconformity,
    rejection_curve,
    thinned,
)
from speechbrain_can.model_folder.statistics import (
    ModelStatistics,
    read_statistics,
)

CLASSES = ["ang", "neu", "sad"]


def draw(n, seed):
    """Return probabilities of a model that is right more often than not."""
    generator = np.random.default_rng(shifted(seed))
    targets = generator.choice(3, n, p=[0.2, 0.5, 0.3])
    logits = generator.normal(size=(n, 3)) + 1.5 * np.eye(3)[targets]
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True), targets


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9])
def test_sets_equal_counting(confidence):
    probabilities, targets = draw(200, 0)
    scores = nonconformity(probabilities, targets, CLASSES)
    tested, _ = draw(50, 1)
    for own, found in zip(tested, emotion_sets(scores, tested, confidence)):
        expected = set()
        for i, name in enumerate(CLASSES):
            larger = sum(score >= 1 - own[i] for score in scores[name])
            p = (larger + 1) / (len(scores[name]) + 1)
            if p > 1 - confidence + 1e-9:
                expected.add(name)
        assert set(found) == expected
        ranks = [own[CLASSES.index(name)] for name in found]
        assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("confidence", [0.8, 0.9])
def test_every_class_is_covered(confidence):
    scores = nonconformity(*draw(6000, 2), CLASSES)
    probabilities, targets = draw(6000, 3)
    sets = emotion_sets(scores, probabilities, confidence)
    for i, name in enumerate(CLASSES):
        own = [name in s for s, t in zip(sets, targets) if t == i]
        # five standard errors
        assert abs(np.mean(own) - confidence) < 5 * 0.5 / np.sqrt(len(own) / 2)


def test_thinned_scores_do_not_shrink_sets():
    scores = nonconformity(*draw(500, 4), CLASSES)
    few = thinned(scores, 24)
    assert {len(own) for own in few.values()} == {24}
    probabilities, _ = draw(100, 5)
    for whole, thin in zip(
        emotion_sets(scores, probabilities, 0.8),
        emotion_sets(few, probabilities, 0.8),
    ):
        assert set(whole) <= set(thin)


def test_rare_classes_use_the_scores_of_all():
    probabilities, targets = draw(100, 6)
    scores = nonconformity(probabilities, targets, [*CLASSES])
    rare = {**scores, "sad": scores["sad"][: FEWEST - 1]}
    every = sorted(score for own in rare.values() for score in own)
    other = {**rare, "sad": every}
    tested, _ = draw(50, 7)
    found = [set(s) & {"sad"} for s in emotion_sets(rare, tested, 0.8)]
    # the pool does not contain the replaced scores twice
    p = [
        (sum(e >= 1 - own[2] for e in other["sad"]) + 1) / (len(every) + 1)
        for own in tested
    ]
    assert found == [{"sad"} if value > 0.2 + 1e-9 else set() for value in p]


@pytest.mark.parametrize("confidence", [0.95, 1.0, 0.4, -1])
def test_unsupported_levels_are_refused(confidence):
    scores = {"a": [0.1] * 10, "b": [0.2] * 30}
    check_confidence(scores, 0.9)
    with pytest.raises(InputError, match="is 0.909|from 0.5 to below 1"):
        check_confidence(scores, confidence)


def test_coverage_and_rejection():
    found = coverage([["a"], [], ["a", "b"]], ["a", "a", "a"])
    assert found["coverage"] == pytest.approx(2 / 3)
    assert found["single"] == pytest.approx(1 / 3)
    assert np.isnan(coverage([["a", "b"]], ["a"])["single correct"])
    probabilities, targets = draw(1000, 8)
    correct = probabilities.argmax(1) == targets
    curve = rejection_curve(probabilities.max(1), correct)
    assert curve[0][1] == pytest.approx(correct.mean())
    kept = np.argsort(-probabilities.max(1), kind="stable")[:500]
    assert curve[5][1] == pytest.approx(correct[kept].mean())


@pytest.mark.attack
@pytest.mark.parametrize(
    "content, expected",
    [
        ({"conformal": {"a": [0.1], "c": [0.2]}}, "classes differ"),
        ({"conformal": {"a": [2], "b": []}}, "less than or equal to 1"),
        ({"conformal": {"a": [float("nan")], "b": []}}, "damaged"),
        ({"ranges": {"mood": [0, 1]}}, "unknown measures"),
        ({"ranges": {"snr": [0, float("inf")]}}, "finite number"),
        ({"code": "!apply:os.system"}, "Extra inputs"),
        ([], "damaged"),
    ],
)
def test_damaged_statistics_are_refused(tmp_path, content, expected):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=expected):
        read_statistics(path, path, ["a", "b"])


def test_statistics_are_written_compactly(tmp_path):
    statistics = ModelStatistics(
        conformal={"a": [0.1, 0.25], "b": []}, ranges={"snr": (1.23456, 40.0)}
    )
    path = tmp_path / "statistics.json"
    path.write_text(statistics.written())
    found = read_statistics(path, path, ["a", "b"])
    assert found.conformal == statistics.conformal
    assert found.ranges["snr"] == (1.2346, 40.0)
