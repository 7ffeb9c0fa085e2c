import csv
import os

import numpy as np
import pytest
from helpers.corpora import utterance
from helpers.recipes import ROOT

from speechbrain.dataio.dataio import load_data_csv
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.manifest import (
    COLUMNS,
    ManifestError,
    check_utterances,
    check_words,
    read_manifest,
    resolve_wav,
    write_manifest,
    write_reasons,
)
from speechbrain_can.io.files import atomic_write


def test_round_trip_sorted_by_id(tmp_path):
    path = tmp_path / "manifest.csv"
    rows = [utterance("b"), utterance("a", scripted=False)]
    write_manifest(path, rows)
    read = read_manifest(path)
    assert list(read) == ["a", "b"]
    assert read["a"] == rows[1] and read["b"] == rows[0]


def test_speechbrain_reads_manifests(tmp_path):
    path = tmp_path / "manifest.csv"
    write_manifest(path, [utterance("a")])
    data = load_data_csv(path, {"data_root": "/corpus"})
    assert data["a"]["wav"] == "/corpus/a.wav"
    assert data["a"]["duration"] == 1.0


def test_unicode_words(tmp_path):
    path = tmp_path / "manifest.csv"
    words = [Word("tü", 0.0, 0.5), Word("$5,50", 0.5, 1.0)]
    write_manifest(path, [utterance("a", words)])
    assert read_manifest(path)["a"].words == words


def test_duplicate_id_is_refused():
    with pytest.raises(ManifestError, match="duplicate ID 'a'"):
        check_utterances([utterance("a"), utterance("a")])


@pytest.mark.parametrize(
    "text, message",
    [
        ("so what", "'so what' is empty or contains whitespace"),
        ("", "'' is empty"),
        ("\u200b", "unprintable characters"),
        ("so\0", "unprintable characters"),
        ("a" * 200_000, "'aaaa.*has 200000 characters"),
    ],
)
def test_words_with_whitespace_are_refused(text, message):
    with pytest.raises(AlignmentError, match=message):
        check_words([Word("so", 0.0, 0.5), Word(text, 0.5, 1.0)])


def test_a_long_recording_is_read_back(tmp_path):
    bounds = np.arange(30_001) / 4
    words = [
        Word("somewhere", a, b)
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist())
    ]
    row = utterance("a", words, duration=7500.0)
    write_manifest(tmp_path / "manifest.csv", [row])
    assert len(read_manifest(tmp_path / "manifest.csv")["a"].words) == 30_000


def write_rows(path, *changes, header=COLUMNS):
    row = dict(
        zip(
            COLUMNS,
            "a,1.0,a.wav,F1,1,d,1,ang,so what,0 0.5,0.5 1,So".split(","),
        )
    )
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, header, extrasaction="ignore")
        writer.writeheader()
        for change in changes:
            writer.writerow({**row, **change})
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        ({"starts": "0"}, "2 words, 1 starts and 2 ends"),
        ({"words": ""}, "0 words, 2 starts and 2 ends"),
        ({"words": "", "starts": "", "ends": ""}, "no words"),
        ({"ends": "0.5 1.5"}, "'what' ends at 1.5 s but the audio is 1 s long"),
        ({"starts": "0 0.5", "ends": "0.5 0.4"}, "'what' covers 0.5 s to 0.4"),
        ({"starts": "0.1 0.5"}, "'so' covers 0.1 s to 0.5"),
        ({"starts": "0 0.6"}, "but the previous word ends at 0.5 s"),
        ({"scripted": "yes"}, "scripted must be 0 or 1, found 'yes'"),
        (
            {"starts": "0.6 0.5", "ends": "0.7 1"},
            "tile the utterance, starting at 0",
        ),
        ({"starts": "0 half"}, "could not convert"),
        ({"duration": "long"}, "could not convert"),
        ({"duration": "nan"}, "invalid duration nan"),
        ({"duration": "inf"}, "invalid duration inf"),
        ({"ends": "0.5 nan"}, "'what' covers 0.5 s to nan"),
    ],
)
def test_bad_row_names_file_line_and_id(tmp_path, change, message):
    path = write_rows(tmp_path / "manifest.csv", {}, {"ID": "b", **change})
    with pytest.raises(ManifestError, match=message) as error:
        read_manifest(path)
    assert "manifest.csv, line 3 (b)" in str(error.value)


def test_a_manifest_that_a_spreadsheet_saved(tmp_path):
    path = write_rows(tmp_path / "manifest.csv", {})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_manifest(path)) == ["a"]


def test_duplicate_id_on_reading(tmp_path):
    path = write_rows(tmp_path / "manifest.csv", {}, {})
    with pytest.raises(ManifestError, match="line 3: duplicate ID 'a'"):
        read_manifest(path)


def test_missing_column(tmp_path):
    header = [name for name in COLUMNS if name != "starts"]
    path = write_rows(tmp_path / "manifest.csv", {}, header=header)
    with pytest.raises(ManifestError, match=r"missing columns: starts"):
        read_manifest(path)


def test_short_row(tmp_path):
    path = write_rows(tmp_path / "manifest.csv", {})
    path.write_text(path.read_text() + "b,1.0\n")
    with pytest.raises(ManifestError, match="different numbers of cells"):
        read_manifest(path)


def test_empty_manifest(tmp_path):
    with pytest.raises(ManifestError, match="no utterance"):
        read_manifest(write_rows(tmp_path / "manifest.csv"))


def test_resolve_wav():
    assert resolve_wav(utterance("a"), "/corpus") == "/corpus/a.wav"


def test_interrupted_writes_keep_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("before")
    with pytest.raises(RuntimeError):
        with atomic_write(path) as stream:
            stream.write("half")
            raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_reasons(tmp_path):
    path = tmp_path / "skipped.csv"
    write_reasons(path, [("b", "one, two"), ("a", "three")])
    assert path.read_text().splitlines() == [
        "ID,reason",
        "a,three",
        'b,"one, two"',
    ]


def test_the_sample_of_the_manifests_folder():
    sample = read_manifest(ROOT / "manifests" / "sample.csv")
    assert len(sample) >= 3
    for row in sample.values():
        assert row.words[0].start == 0.0
        for word, following in zip(row.words[:-1], row.words[1:]):
            assert word.end == following.start
    assert os.path.getsize(ROOT / "manifests" / "sample.csv") < 100_000
