"""Custom corpora: what tables, names and folders mean, and what is refused."""

import csv
import unicodedata

import numpy as np
import pytest
import soundfile
from helpers.corpora import skip_unless_encodable
from helpers.recipes import ROOT, load_module

from speechbrain_can.alignment.aligners.equal import EqualSegments
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.leakage import find_leaks
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.corpus.prepared import Corpus, CorpusError
from speechbrain_can.io.files import InputError

FOLDER = ROOT / "recipes" / "CustomCorpus" / "multimodal_emotion_recognition"
custom = load_module(FOLDER / "custom_prepare.py")
HEADER = ("wav", "emotion", "speaker", "transcript")


def record(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).normal(size=16000)
    soundfile.write(path, noise, 16000)


def prepare(corpus, table=None, **options):
    """Prepare a corpus; return manifest, and skipped and adjusted utterances."""
    if table is not None:
        with open(corpus / "recordings.csv", "w", newline="") as stream:
            csv.writer(stream).writerows(table)
    prepared = corpus.with_name("prepared")
    custom.prepare_custom(
        corpus,
        prepared,
        aligner=EqualSegments(),
        **{"protocol": "random10", **options},
    )
    reasons = []
    for name in ("skipped", "adjusted"):
        with open(prepared / f"{name}.csv", newline="") as stream:
            rows = csv.DictReader(stream)
            reasons.append({row["ID"]: row["reason"] for row in rows})
    return read_manifest(prepared / "manifest.csv"), *reasons


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "mine"
    for speaker in "abcd":
        for emotion in ("glad", "cross"):
            record(folder / speaker / f"{emotion}.wav")
    return folder


def rows(speakers="abcd", emotions=("glad", "cross")):
    return [
        (f"{path}/{file}.wav", emotion, speaker, "so what")
        for path, speaker in zip("abcd", speakers)
        for file, emotion in zip(("glad", "cross"), emotions)
    ]


def test_two_spellings_of_a_speaker_are_never_in_two_sets(corpus):
    composed = "M\u00fcller"
    speakers = [composed, unicodedata.normalize("NFD", composed), "b", "c"]
    _, _, adjusted = prepare(
        corpus, [HEADER, *rows(speakers)], protocol="group:speaker"
    )
    assert set(adjusted) == {"b_glad", "b_cross"}
    assert "is now 'M\\xfcller'" in adjusted["b_glad"]
    found = Corpus.load(corpus.with_name("prepared"), "group:speaker")
    for fold in range(3):
        parts = split_fold(found.folds, fold)
        sets = [
            part
            for part, ids in parts.items()
            if {"a_glad", "b_glad"} & set(ids)
        ]
        assert len(sets) == 1
    leaks = find_leaks(found.utterances, found.folds, corpus)
    assert not leaks[leaks["kind"] == "speaker"]["share"].any()


def test_names_that_look_alike_are_one_class(corpus):
    table = [HEADER, *rows(), ("a/glad.wav", "Glad\u200b", "a ", "oh", "x")[:4]]
    record(corpus / "a" / "more.wav")
    table[-1] = ("a/more.wav", *table[-1][1:])
    found, _, adjusted = prepare(corpus, table)
    assert {row.emotion for row in found.values()} == {"glad", "cross"}
    assert set(adjusted) == {"a_more"}


def test_file_names_in_the_other_unicode_form(corpus):
    skip_unless_encodable("u\u0308")
    name = unicodedata.normalize("NFD", "f\u00fcr.wav")
    record(corpus / "a" / name)
    asked = unicodedata.normalize("NFC", f"a/{name}")
    found, skipped, _ = prepare(
        corpus, [HEADER, *rows(), (asked, "glad", "a", "so")]
    )
    assert len(found) == 9 and not skipped


def test_paths_of_windows(corpus):
    table = [(".\\" + wav.replace("/", "\\"), *rest) for wav, *rest in rows()]
    found, skipped, _ = prepare(corpus, [HEADER, *table])
    assert len(found) == 8 and not skipped
    assert found["a_glad"].wav == "$data_root/a/glad.wav"


@pytest.mark.parametrize("value", ["", "nan", "NaN", "N/A", "null"])
@pytest.mark.parametrize("column", ["emotion", "speaker"])
def test_missing_values_are_not_names(corpus, value, column):
    table = [dict(zip(HEADER, row)) for row in rows()]
    table[0][column] = value
    found, skipped, _ = prepare(
        corpus, [HEADER, *(row.values() for row in table)]
    )
    assert skipped == {"a_glad": f"no {column} ({value!r})"}
    assert "a_glad" not in found


def test_extra_cells_are_refused(corpus):
    table = [HEADER, *rows(), ("a/glad.wav", "glad", "a", "oh", "not again")]
    with pytest.raises(InputError, match="line 10: the row has more cells"):
        prepare(corpus, table)


@pytest.mark.parametrize(
    "folds, message",
    [
        (["train", "dev", "test"], "b_cross: invalid fold 'dev'"),
        (
            ["0", "1", "valid"],
            "some folds are numbers, others are train, valid",
        ),
    ],
)
def test_invalid_folds_name_their_row(corpus, folds, message):
    table = [
        (*row, folds[min(i // 2, 2)] if i != 2 else folds[0])
        for i, row in enumerate(rows())
    ]
    with pytest.raises(InputError, match=message):
        prepare(corpus, [(*HEADER, "fold"), *table], protocol="given")


@pytest.mark.parametrize(
    "folds", [["Train", "VALID", "test"], ["0.0", "1.0", "2.0"]]
)
def test_folds_as_spreadsheets_write_them(corpus, folds):
    table = [(*row, folds[i % 3]) for i, row in enumerate(rows())]
    prepare(corpus, [(*HEADER, "fold"), *table], protocol="given")
    found = Corpus.load(corpus.with_name("prepared"), "given")
    parts = split_fold(found.folds, 0)
    assert sorted(map(len, parts.values())) in ([2, 3, 3], [2, 3, 3])


def test_folders_of_emotions(tmp_path, capsys):
    corpus = tmp_path / "mine"
    for emotion in ("glad", "cross"):
        for number in range(4):
            record(corpus / emotion / f"{number}.wav")
    (corpus / "glad" / "._0.wav").write_bytes(b"AppleDouble")
    (corpus / "glad" / "notes.txt").touch()
    record(corpus / "glad" / "day 2" / "5.wav")
    record(corpus / "glad" / "0.flac")
    record(corpus / "0.wav")
    transcriber = EqualWords()
    found, skipped, _ = prepare(corpus, transcriber=transcriber)
    assert "the folders are the emotions" in capsys.readouterr().out
    assert len(found) == 9 and found["glad_day 2_5"].emotion == "glad"
    assert skipped == {
        "0": "the recording is not in the folder of an emotion",
        "glad/0.wav": "glad/0.flac has the same name",
    }
    assert found["cross_3"].emotion == "cross" and not found["cross_3"].speaker
    with pytest.raises(CorpusError, match="--protocol=random10, whose scores"):
        prepare(corpus, protocol="group:speaker")


class EqualWords:
    """Transcriber of recordings that all contain the same words."""

    name = "equal words"
    sample_rate = 16000

    def __call__(self, waveform):
        return EqualSegments()(waveform, "so what")


def test_tier_and_repaired_times(corpus):
    from praatio import textgrid

    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("Mary", [(0, 0.5, "oh")], 0, 1))
    grid.save(str(corpus / "a.TextGrid"), "long_textgrid", True)
    (corpus / "b.csv").write_text("word,start,end\nso,0,.5\nwhat,.5,\n")
    table = [(*HEADER, "alignment"), *((*row, "") for row in rows())]
    table[1] = (*table[1][:4], "a.TextGrid")
    found, skipped, _ = prepare(corpus, table)
    assert "Pass --tier=NAME" in skipped["a_glad"] and len(found) == 7
    found, skipped, _ = prepare(corpus, table, tier="Mary")
    assert not skipped and [w.text for w in found["a_glad"].words] == ["oh"]
    table[1] = (*table[1][:4], "b.csv")
    found, skipped, adjusted = prepare(corpus, table)
    assert (
        "missing times repaired: 'what' now covers 0.5 to 1"
        in (adjusted["a_glad"])
    )


def test_speech_that_is_left_out_is_listed(corpus):
    table = [HEADER, *rows(), ("a/more.wav", "glad", "a", "ROSS: (sighs) so")]
    record(corpus / "a" / "more.wav")
    found, _, adjusted = prepare(corpus, table)
    assert [w.text for w in found["a_more"].words] == ["so"]
    assert adjusted == {"a_more": "text left out: '(sighs)', 'ROSS:'"}
