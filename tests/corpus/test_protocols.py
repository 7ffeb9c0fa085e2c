from collections import Counter
from dataclasses import replace

import pytest
from helpers.corpora import utterance
from helpers.recipes import ROOT

from speechbrain_can.corpus.leakage import describe_fold
from speechbrain_can.corpus.protocols import (
    ALIASES,
    count_folds,
    make_folds,
    read_folds,
    split_fold,
    write_folds,
)
from speechbrain_can.files import InputError


def corpus(sessions=5, turns=20):
    """Two talkers a session, six emotions of unequal frequency."""
    rows = {}
    for session in range(1, sessions + 1):
        for talker in "FM":
            for i in range(turns):
                name = f"Ses0{session}_{talker}{i:03d}"
                rows[name] = utterance(
                    name,
                    session=str(session),
                    speaker=f"Ses0{session}{talker}",
                    emotion=["ang", "sad", "neu", "neu", "neu", "sur"][i % 6],
                )
    return rows


@pytest.mark.parametrize(
    "protocol, folds",
    [
        ("random10", 10),
        ("leave_one_session_out", 5),
        ("leave_one_speaker_out", 10),
    ],
)
def test_every_utterance_is_tested_once(protocol, folds):
    utterances = corpus()
    assignment = make_folds(protocol, utterances, seed=1)
    assert count_folds(assignment) == folds
    tested = Counter()
    for fold in range(folds):
        parts = split_fold(assignment, fold)
        names = parts["train"] + parts["valid"] + parts["test"]
        assert sorted(names) == sorted(utterances)
        tested.update(parts["test"])
    assert set(tested.values()) == {1} and set(tested) == set(utterances)


@pytest.mark.parametrize(
    "protocol", ["random10", "leave_one_session_out", "leave_one_speaker_out"]
)
def test_order_of_the_corpus_does_not_matter(protocol):
    utterances = corpus()
    backwards = dict(reversed(utterances.items()))
    assert make_folds(protocol, utterances, 1) == make_folds(
        protocol, backwards, 1
    )


def test_random10_is_8_1_1_and_stratified():
    utterances = corpus()
    assignment = make_folds("random10", utterances, seed=1)
    emotions = Counter(row.emotion for row in utterances.values())
    for fold in range(10):
        parts = split_fold(assignment, fold)
        assert [len(parts[p]) for p in ("train", "valid", "test")] == [
            160,
            20,
            20,
        ]
        for part in ("valid", "test"):
            counts = Counter(utterances[n].emotion for n in parts[part])
            for emotion, total in emotions.items():
                assert abs(counts[emotion] - total / 10) < 1


def test_random10_depends_on_the_seed():
    utterances = corpus()
    assert make_folds("random10", utterances, 1) != make_folds(
        "random10", utterances, 2
    )


@pytest.mark.parametrize(
    "protocol", ["leave_one_session_out", "leave_one_speaker_out"]
)
def test_speakers_are_in_one_part_only(protocol):
    utterances = corpus()
    assignment = make_folds(protocol, utterances, seed=1)
    for fold in range(count_folds(assignment)):
        parts = split_fold(assignment, fold)
        speakers = [
            {utterances[name].speaker for name in names}
            for names in parts.values()
        ]
        assert sum(map(len, speakers)) == len(set.union(*speakers))


def test_leave_one_session_out_trains_on_seven_speakers():
    utterances = corpus()
    assignment = make_folds("leave_one_session_out", utterances, seed=1)
    for fold in range(5):
        parts = split_fold(assignment, fold)
        assert {utterances[n].session for n in parts["test"]} == {str(fold + 1)}
        assert len({utterances[n].speaker for n in parts["train"]}) == 7
        (valid,) = {utterances[n].speaker for n in parts["valid"]}
        assert valid == f"Ses0{(fold + 1) % 5 + 1}{'FM'[fold % 2]}"


def test_leave_one_session_out_needs_three_sessions():
    assert count_folds(make_folds("leave_one_session_out", corpus(3), 1)) == 3
    with pytest.raises(ValueError, match="three sessions or more"):
        make_folds("leave_one_session_out", corpus(2), 1)


def test_leave_one_speaker_out_needs_three_speakers():
    with pytest.raises(ValueError, match="three speakers or more"):
        make_folds("leave_one_speaker_out", corpus(1), 1)


def test_unknown_protocol_lists_the_known():
    with pytest.raises(ValueError, match="random10, leave_one_session_out"):
        make_folds("random5", corpus(), 1)


def test_unknown_fold():
    with pytest.raises(ValueError, match="folds 0 to 4"):
        split_fold(make_folds("leave_one_session_out", corpus(), 1), 5)


def test_corpus_too_small():
    utterances = dict(list(corpus().items())[:1])
    with pytest.raises(ValueError, match="no utterance to train or valid"):
        split_fold(make_folds("random10", utterances, 1), 0)


def test_folds_round_trip(tmp_path):
    for protocol in ("random10", "leave_one_session_out"):
        folds = make_folds(protocol, corpus(), seed=1)
        write_folds(tmp_path / "folds.csv", folds)
        assert read_folds(tmp_path / "folds.csv") == folds


def test_leaks_are_stated():
    utterances = corpus()
    parts = split_fold(make_folds("leave_one_session_out", utterances, 1), 0)
    text = describe_fold(utterances, parts)
    assert "140 train, 20 valid, 40 test" in text
    assert "0 of 2 test speakers and 1 of 1 test dialogs are heard" in text
    assert "100% of the test sentences are also in training" in text
    parts = split_fold(make_folds("random10", utterances, 1), 0)
    assert "9 of 9 test speakers" in describe_fold(utterances, parts)
    # the partner of who is tested trains or validates
    parts = split_fold(make_folds("leave_one_speaker_out", utterances, 1), 0)
    text = describe_fold(utterances, parts)
    assert "0 of 1 test speakers and 1 of 1 test dialogs are" in text
    # a corpus without dialogs
    utterances = {
        utterance_id: replace(row, dialog="")
        for utterance_id, row in utterances.items()
    }
    assert "dialog" not in describe_fold(utterances, parts)


@pytest.mark.parametrize("alias", ALIASES)
def test_former_names(alias):
    utterances = corpus()
    assert make_folds(alias, utterances, 1) == make_folds(
        ALIASES[alias], utterances, 1
    )


def test_published_folds_of_emodb():
    published = read_folds(
        ROOT / "manifests" / "emodb_leave_one_speaker_out.csv"
    )
    assert len(published) == 535
    utterances = {i: utterance(i, speaker=i[:2]) for i in published}
    assert published == make_folds("leave_one_speaker_out", utterances, seed=1)


def test_published_folds_are_of_the_recordings_beside_the_checkout(
    emodb_prepare, shared
):
    recordings, _ = emodb_prepare.find_recordings(shared / "emodb")
    published = read_folds(
        ROOT / "manifests" / "emodb_leave_one_speaker_out.csv"
    )
    assert {r.utterance_id: r.speaker for r in recordings} == {
        i: i[:2] for i in published
    }


@pytest.mark.parametrize("column", ["speaker", "session", "dialog"])
def test_groups_stay_together(column):
    utterances = {
        f"u{i:03}": utterance(f"u{i:03}", **{column: f"g{i % 23}"})
        for i in range(200)
    }
    folds = make_folds(f"group:{column}", utterances, seed=1)
    assert count_folds(folds) == 10
    sizes = []
    for fold in range(10):
        parts = split_fold(folds, fold)
        groups = {
            part: {getattr(utterances[i], column) for i in ids}
            for part, ids in parts.items()
        }
        assert not groups["train"] & groups["valid"]
        assert not groups["train"] & groups["test"]
        assert not groups["valid"] & groups["test"]
        sizes.append(len(parts["test"]))
    assert sum(sizes) == 200 and max(sizes) - min(sizes) <= 9


def test_three_groups_make_three_folds():
    utterances = {
        name: utterance(name, speaker=name[0])
        for name in ("a1", "a2", "b1", "c1")
    }
    folds = make_folds("group:speaker", utterances, seed=1)
    assert count_folds(folds) == 3
    assert folds["a1"] == folds["a2"]
    with pytest.raises(
        InputError, match="three of them or more, found .'a', 'b'"
    ):
        make_folds(
            "group:speaker",
            {n: u for n, u in utterances.items() if n != "c1"},
            seed=1,
        )
    with pytest.raises(InputError, match="the session of every .* and 1 have"):
        make_folds("group:session", {"a": utterance("a", session="")}, seed=1)


def test_folds_that_the_corpus_gives(tmp_path):
    utterances = {name: utterance(name) for name in "abcde"}
    parts = dict(zip("abcde", ("train", "train", "valid", "test", "test")))
    folds = make_folds("given", utterances, seed=1, parts=parts)
    write_folds(tmp_path / "folds.csv", folds)
    folds = read_folds(tmp_path / "folds.csv")
    assert count_folds(folds) == 1
    assert split_fold(folds, 0) == {
        "train": ["a", "b"],
        "valid": ["c"],
        "test": ["d", "e"],
    }
    numbers = dict(zip("abcde", "01201"))
    folds = make_folds("given", utterances, seed=1, parts=numbers)
    assert split_fold(folds, 0) == {
        "train": ["c"],
        "valid": ["b", "e"],
        "test": ["a", "d"],
    }
    with pytest.raises(InputError, match="c has the fold 'two'"):
        make_folds("given", utterances, seed=1, parts={**numbers, "c": "two"})
    with pytest.raises(InputError, match="1 utterances have no fold, c among"):
        make_folds("given", utterances, seed=1, parts={**numbers, "c": None})
    with pytest.raises(InputError, match="from 0 to 3, and no .* is in 0"):
        parts = dict(zip("abcde", "12312"))
        make_folds("given", utterances, seed=1, parts=parts)
    with pytest.raises(
        InputError, match="no utterance is given for test, valid"
    ):
        parts = dict.fromkeys("abcde", "train")
        make_folds("given", utterances, seed=1, parts=parts)
    with pytest.raises(InputError, match="no folds of its own"):
        make_folds("given", utterances, seed=1)
