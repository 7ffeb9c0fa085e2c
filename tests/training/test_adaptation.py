"""Random recordings that training adapts to."""

import random
from collections import Counter

import pytest
import torch
from helpers.corpora import build_store, utterance

from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.features.normalization import SpeakerAdaptation
from speechbrain_can.training.adaptation import (
    RECORDINGS,
    UNADAPTED,
    DrawnOffsets,
    speakers_of,
)

SPEAKERS = {f"u{i}": "AB"[i % 2] for i in range(20)}
TARGETS = {name: int(name[1:]) % 3 for name in SPEAKERS}


class Store:
    """Means of recordings, as of a feature cache."""

    def means(self, names):
        return torch.tensor([[float(name[1:]), 1.0] for name in names])


def offsets(strength=2.0):
    normalize = SpeakerAdaptation(2, 3, strength, emotion_strength=0.0)
    normalize.class_means.copy_(torch.arange(6.0).view(3, 2))
    return DrawnOffsets(normalize, SPEAKERS, TARGETS, [Store()])


def test_recordings_of_the_same_speaker_are_drawn():
    drawn, random_numbers = offsets(), random.getstate()
    random.seed(1)
    found = [drawn.draw("u4") for _ in range(2000)]
    names = {name for own in found for name in own}
    assert names == {f"u{i}" for i in range(0, 20, 2)} - {"u4"}
    counts = Counter(map(len, found))
    assert counts[0] / 2000 == pytest.approx(UNADAPTED, abs=0.1)
    assert max(counts) <= max(RECORDINGS)
    random.setstate(random_numbers)


def test_an_offset_is_that_of_a_plain_reference(monkeypatch):
    drawn = offsets()
    names = ["u0", "u2", "u2"]
    monkeypatch.setattr(drawn, "draw", lambda _: names)
    total = torch.zeros(2)
    for name in names:
        mean = torch.tensor([float(name[1:]), 1.0])
        total += mean - drawn.normalize.class_means[TARGETS[name]]
    torch.testing.assert_close(drawn("u4", 0), total / (3 + 2.0))
    monkeypatch.setattr(drawn, "draw", lambda _: [])
    assert drawn("u4", 0) == 0.0


def test_a_speaker_with_one_recording_is_not_adapted():
    normalize = SpeakerAdaptation(2, 3)
    drawn = DrawnOffsets(normalize, {"u0": "A"}, {"u0": 0}, [Store()])
    assert all(drawn.draw("u0") == [] for _ in range(50))


def test_every_speaker_must_be_known():
    known = {"a": utterance("a"), "b": utterance("b", speaker="")}
    with pytest.raises(CorpusError, match="1 have none, for example b"):
        speakers_of(known)


def test_means_of_cached_recordings(small_corpus, tmp_path):
    store = build_store(tmp_path, small_corpus)
    names = list(small_corpus)[::-1]
    for _ in range(2):  # computed, then read
        for name, mean in zip(names, store.means(names)):
            torch.testing.assert_close(mean, store[name][0].mean(0))
