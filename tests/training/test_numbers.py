"""Runs with extreme lengths and counts."""

import csv
import math

import pytest
from helpers.corpora import write_wav
from helpers.recipes import RECIPES, run

from speechbrain_can.io.files import read_json

pytestmark = pytest.mark.training

MINUTES = 10


@pytest.fixture
def corpus(tmp_path):
    """Write four speakers with two classes; the last speaker has only one class.

    The first utterance lasts ten minutes and has 1,500 words.
    """
    folder = tmp_path / "corpus"
    rows = []
    for number in range(16):
        speaker = "abcd"[number // 4]
        emotion = "sad" if speaker == "d" or number % 2 else "ang"
        seconds, words = (60 * MINUTES, 1500) if number == 0 else (1.0, 4)
        wav = folder / f"{number}.wav"
        write_wav(wav, seconds, seed=number)
        step = seconds / words
        with open(wav.with_suffix(".csv"), "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["word", "start", "end"])
            writer.writerows(
                [f"w{i % 9}", i * step, (i + 1) * step] for i in range(words)
            )
        rows.append([wav.name, emotion, speaker, f"{number}.csv", speaker])
    with open(folder / "recordings.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["wav", "emotion", "speaker", "alignment", "session"])
        writer.writerows(rows)
    return folder


def test_ten_minutes_and_a_class_that_a_fold_does_not_test(corpus, tmp_path):
    run(
        tmp_path / "run",
        *(f"--data_folder={corpus}", "--classes=2", "--number_of_epochs=1"),
        "--protocol=leave_one_speaker_out",
        recipe=RECIPES["IEMOCAP"].parents[1]
        / "CustomCorpus"
        / "multimodal_emotion_recognition",
    )
    results = read_json(tmp_path / "run" / "results.json")
    assert [fold["n_test"] for fold in results["folds"]] == [4, 4, 4, 4]
    for fold in results["folds"]:
        assert all(math.isfinite(fold[name]) for name in ("WA", "UA"))
        # classes of the test set
        tested = {"sad"} if fold["fold"] == 3 else {"ang", "sad"}
        assert set(fold["recall"]) == tested
        mean = sum(fold["recall"].values()) / len(tested)
        assert fold["UA"] == pytest.approx(mean)
