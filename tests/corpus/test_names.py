"""Names that look alike are one name, and the change is listed."""

import pytest

from speechbrain_can.corpus.names import is_missing, unify_names
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording


def recordings(column, names):
    own = {"emotion": "ang", "speaker": "F1"}
    if column in ("emotion", "speaker", "session", "dialog"):
        return [
            LabeledRecording(str(i), "a.wav", **{**own, column: name})
            for i, name in enumerate(names)
        ]
    return [
        LabeledRecording(str(i), "a.wav", **own, extra={column: name})
        for i, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    "column", ["emotion", "speaker", "session", "dialog", "room"]
)
@pytest.mark.parametrize(
    "names, name",
    [
        (["wu\u0308tend", "w\u00fctend", "w\u00fctend"], "w\u00fctend"),
        (["wu\u0308tend", "wu\u0308tend"], "w\u00fctend"),
        (["happy\u200b", "happy", "happy"], "happy"),
        (["happy\u00a0", " happy", "happy"], "happy"),
        (["\ufeffhappy", "happy"], "happy"),
        (["Happy", "happy", "happy"], "happy"),
        (["HAPPY", "Happy", "Happy"], "Happy"),
        (["very  happy", "very happy"], "very happy"),
    ],
)
def test_spellings_are_unified(column, names, name):
    unified, adjusted = unify_names(recordings(column, names))
    found = [
        r.extra[column] if column == "room" else getattr(r, column)
        for r in unified
    ]
    assert found == [name] * len(names)
    changed = [str(i) for i, each in enumerate(names) if each != name]
    assert [utterance_id for utterance_id, _ in adjusted] == changed
    # the note shows what is invisible
    for utterance_id, note in adjusted:
        before, after = ascii(names[int(utterance_id)]), ascii(name)
        assert note == f"name unified: {column} {before} is now {after}"


def test_different_names_stay_different():
    names = ["happy", "hap", "sad", "säd", "F1", "F 1"]
    unified, adjusted = unify_names(recordings("speaker", names))
    assert [r.speaker for r in unified] == names and not adjusted


@pytest.mark.parametrize("name", ["ID", "true", "predicted"])
def test_reserved_labels_are_refused(name):
    with pytest.raises(CorpusError, match=f"must not be named '{name}'"):
        unify_names(recordings("emotion", ["happy", name]))


@pytest.mark.parametrize("name", ["", " ", "nan", "NaN", "N/A", "None", "null"])
def test_missing_values(name):
    assert is_missing(name) and not is_missing(f"x{name}x")
