import pytest

from speechbrain_can.corpus.labels import (
    SPELLINGS,
    canonical,
    common_emotions,
    map_labels,
)
from speechbrain_can.corpus.prepared import CorpusError


def test_spellings_are_unambiguous():
    every = [s for name in SPELLINGS for s in (name, *SPELLINGS[name])]
    assert len(set(every)) == len(every)
    assert all(len(spelling) > 1 for spelling in every)
    assert canonical("Pleasant  Surprise") == "sur"


def test_own_map_comes_first():
    found = map_labels(
        ["happy", "calm", "bored", "neutral"],
        ["hap", "neu"],
        {"calm": "neutral", "happy": None},
    )
    assert found == {
        "happy": None,
        "calm": "neu",
        "bored": None,
        "neutral": "neu",
    }


def test_classes_with_the_same_meaning_are_not_guessed():
    found = map_labels(["joy", "happiness"], ["joy", "hap", "sad"])
    assert found == {"joy": "joy", "happiness": None}


@pytest.mark.parametrize(
    "own, expected",
    [
        ({"clam": "neu"}, "has no label 'clam'"),
        ({"calm": "neutrl"}, "maps 'calm' to 'neutrl', which is not a class"),
    ],
)
def test_invalid_maps_are_refused(own, expected):
    with pytest.raises(CorpusError, match=expected):
        map_labels(["calm"], ["neu", "sad"], own)


def test_common_emotions_follow_the_maps():
    labels = {"a": ["anger", "joy", "calm"], "b": ["ang", "hap", "neu"]}
    assert common_emotions(labels, {}) == ["ang", "hap"]
    own = {"a": {"calm": "neutral", "joy": None}}
    assert common_emotions(labels, own) == ["ang", "neu"]
