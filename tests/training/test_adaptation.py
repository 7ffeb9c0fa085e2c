"""Random recordings that training adapts to."""

import random
from collections import Counter

import pytest
import torch
from helpers.corpora import build_store, utterance

from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.features.normalization import SpeakerAdaptation
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.training.adaptation import (
    RECORDINGS,
    UNADAPTED,
    DrawnOffsets,
    EvaluatedSpeakers,
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


def test_unknown_speakers_are_not_adapted(caplog):
    known = {"a": utterance("a"), "b": utterance("b", speaker="")}
    assert speakers_of(known) == {"a": "F1", "b": None}
    assert "1 of 2 utterances have no speaker" in caplog.text
    with pytest.raises(CorpusError, match="none is known"):
        speakers_of({"b": known["b"]})
    speakers = {**SPEAKERS, "u4": None}
    normalize = SpeakerAdaptation(2, 3)
    drawn = DrawnOffsets(normalize, speakers, TARGETS, [Store()])
    assert all(drawn.draw("u4") == [] for _ in range(50))
    assert all("u4" not in drawn.draw("u0") for _ in range(50))
    tested = EvaluatedSpeakers(normalize, {"a": "A", "b": None, "c": "A"})
    audio = WordFrames(
        torch.randn(3, 2), torch.tensor([1, 1, 1]), torch.tensor([1, 1, 1])
    )
    tested.add(["a", "b", "c"], audio, torch.full((3, 3), 1 / 3))
    changed = (tested.adapt(["a", "b", "c"], audio).frames != audio.frames).any(
        1
    )
    assert changed.tolist() == [True, False, True]


def test_means_of_cached_recordings(small_corpus, tmp_path):
    store = build_store(tmp_path, small_corpus)
    names = list(small_corpus)[::-1]
    for _ in range(2):  # computed, then read
        for name, mean in zip(names, store.means(names)):
            torch.testing.assert_close(mean, store[name][0].mean(0))
