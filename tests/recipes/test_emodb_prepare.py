import csv

import numpy as np
import pytest
import soundfile
from helpers.corpora import write_wav

from speechbrain_can.alignment.readers.xlabel import read_xlabel
from speechbrain_can.alignment.words import Word
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.corpus.prepared import Corpus, CorpusError


@pytest.fixture
def prepare(emodb_prepare, emodb_release, tmp_path):
    def run(**settings):
        emodb_prepare.prepare_emodb(
            emodb_release, tmp_path / "prepared", **settings
        )
        rows = {}
        for name in ("skipped", "adjusted"):
            path = tmp_path / "prepared" / f"{name}.csv"
            if path.exists():
                with open(path, newline="") as stream:
                    reader = csv.DictReader(stream)
                    rows[name] = {r["ID"]: r["reason"] for r in reader}
        utterances = read_manifest(tmp_path / "prepared" / "manifest.csv")
        return utterances, rows["skipped"], rows.get("adjusted", {})

    return run


def test_valid_recording(prepare, tmp_path):
    utterances, skipped, adjusted = prepare()
    assert len(utterances) == 21 and not skipped and not adjusted
    row = utterances["03a01Wa"]
    assert row.words == [
        Word("der", 0.0, 0.3),
        Word("la", 0.3, 0.6),
        Word("pen", 0.6, 0.8),
    ]
    assert (row.speaker, row.emotion) == ("03", "ang")
    assert row.transcription == "Der Lappen liegt auf dem Eisschrank."
    corpus = Corpus.load(tmp_path / "prepared", "leave_one_speaker_out")
    assert corpus.classes == "ang bor dis fea hap sad neu".split()
    assert {row.emotion for row in utterances.values()} == set(corpus.classes)


def test_equal_segments_without_labels(emodb_release, prepare, capsys):
    (emodb_release / "labsilb" / "03a01Wa.labsilb").unlink()
    (emodb_release / "labsilb" / "08a01Wa.labsilb").write_text("#\n")
    utterances, skipped, adjusted = prepare()
    assert len(utterances) == 21 and not skipped
    assert adjusted["03a01Wa"] == "with equal segments: no label file"
    assert "fewer than two labels" in adjusted["08a01Wa"]
    assert utterances["03a01Wa"].words == [
        Word("der", 0.0, 0.3),
        Word("la", 0.3, 0.6),
        Word("pen", 0.6, 0.9),
    ]
    assert "2 with equal segments" in capsys.readouterr().out


def test_sentences_replace_missing_labels(emodb_release, prepare):
    for path in (emodb_release / "labsilb").iterdir():
        path.unlink()
    utterances, _, adjusted = prepare()
    assert len(adjusted) == 21
    assert [word.text for word in utterances["03a01Wa"].words] == (
        "der lappen liegt auf dem eisschrank".split()
    )


def test_truncated_recordings_keep_remaining_syllables(emodb_release, prepare):
    write_wav(emodb_release / "wav" / "03a01Wa.wav", 0.4, 22050)
    write_wav(emodb_release / "wav" / "08a01Wa.wav", 0.7, 22050)
    write_wav(emodb_release / "wav" / "09a01Wa.wav", 0.05, 22050)
    utterances, _, adjusted = prepare()
    assert utterances["03a01Wa"].words == [
        Word("der", 0.0, 0.3),
        Word("la", 0.3, 0.4),
    ]
    assert utterances["08a01Wa"].words[2] == Word("pen", 0.6, 0.7)
    assert adjusted == {
        "03a01Wa": "truncated before the end: 2 of 3 syllables are in the "
        "audio of 0.40 s",
        "08a01Wa": "truncated in the last syllable: it ends at 0.80 s, the "
        "audio at 0.70 s",
        "09a01Wa": "with equal segments: the alignment contains no words",
    }


def test_canonical_text_has_the_times_of_the_labels(emodb_release, prepare):
    labels = emodb_release / "labsilb"
    text = (labels / "03a01Wa.labsilb").read_text()
    (labels / "03a01Wa.labsilb").write_text(text.replace("la", "lo"))
    # only der and la
    (labels / "08a01Wa.labsilb").write_text(text.replace("pen", "."))
    write_wav(emodb_release / "wav" / "09a01Wa.wav", 0.4, 22050)
    as_labeled, _, _ = prepare()  # the same folder is prepared twice
    utterances, _, adjusted = prepare(canonical_text=True)
    assert as_labeled["03a01Wa"].words[1] == Word("lo", 0.3, 0.6)
    assert utterances["03a01Wa"].words == [
        Word("der", 0.0, 0.3),
        Word("la", 0.3, 0.6),
        Word("pen", 0.6, 0.8),
    ]
    # missing syllables share the last segment
    der, la, pen = utterances["09a01Wa"].words
    assert (der.text, la.text, pen.text) == ("der", "la", "pen")
    assert (der.start, der.end, pen.end) == (0.0, 0.3, 0.4)
    assert la.end == pen.start == pytest.approx(0.35)
    assert len(utterances["08a01Wa"].words) == 3
    assert list(adjusted) == ["09a01Wa"] and "truncated" in adjusted["09a01Wa"]


def test_canonical_text_is_independent_of_the_emotion(
    data, emodb_prepare, tmp_path
):
    """Any leakage would show as different words."""
    emodb_prepare.prepare_emodb(data / "emodb", tmp_path, canonical_text=True)
    corpus = Corpus.load(tmp_path, "leave_one_speaker_out")
    assert corpus.name == "EmoDB, canonical text"
    texts = {
        (row.transcription, *(word.text for word in row.words))
        for row in corpus.utterances.values()
    }
    assert len(corpus.utterances) == 535 and len(texts) == 10


def test_unknown_files_are_listed(emodb_release, prepare):
    write_wav(emodb_release / "wav" / "noise.wav")
    write_wav(emodb_release / "wav" / "03a03Wa.wav")  # unknown sentence
    (emodb_release / "wav" / "09a01Na.wav").write_bytes(b"")
    utterances, skipped, _ = prepare()
    assert len(utterances) == 20
    assert sorted(skipped) == ["03a03Wa", "09a01Na", "noise"]
    assert "the audio cannot be decoded" in skipped["09a01Na"]
    assert "speaker, sentence, emotion" in skipped["noise"]


def test_wrong_folders(emodb_prepare, emodb_release, tmp_path):
    with pytest.raises(CorpusError, match="does not exist"):
        emodb_prepare.prepare_emodb(tmp_path / "nowhere", tmp_path)
    with pytest.raises(CorpusError, match="Pass its parent folder"):
        emodb_prepare.prepare_emodb(emodb_release / "wav", tmp_path)


def test_real_emodb(data, emodb_prepare, tmp_path):
    emodb_prepare.prepare_emodb(data / "emodb", tmp_path)
    corpus = Corpus.load(tmp_path, "leave_one_speaker_out")
    assert len(corpus.utterances) == 535
    assert len({row.speaker for row in corpus.utterances.values()}) == 10
    with open(tmp_path / "adjusted.csv", newline="") as stream:
        reasons = [row["reason"] for row in csv.DictReader(stream)]
    equal = [reason for reason in reasons if "equal segments" in reason]
    assert equal == ["with equal segments: no label file"] * 42


def test_labels_match_the_onset_of_the_voice(data):
    """If label times were ends, syllables would be one too early."""
    onsets, ends = [], []
    for path in sorted((data / "emodb" / "labsilb").iterdir()):
        rows = read_xlabel(path)
        samples, rate = soundfile.read(
            data / "emodb" / "wav" / f"{path.stem}.wav"
        )
        frames = samples[: len(samples) // 200 * 200].reshape(-1, 200)
        level = np.sqrt((frames**2).mean(axis=1))
        loud = np.flatnonzero(level > level.max() * 10 ** (-30 / 20))
        onsets.append(loud[0] * 200 / rate - rows[0].start)
        if not samples[-1000:].any():  # not truncated
            ends.append((loud[-1] + 1) * 200 / rate - rows[-1].end)
    assert len(onsets) == 493 and len(ends) > 100
    assert abs(np.median(onsets)) < 0.03 and abs(np.median(ends)) < 0.05
