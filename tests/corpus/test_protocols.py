from collections import Counter
from dataclasses import replace

import pytest
from helpers.corpora import utterance
from helpers.recipes import ROOT

from speechbrain_can.corpus.fold_lists import (
    FoldAssignment,
    check_classes,
    count_folds,
    read_folds,
    split_fold,
    write_folds,
)
from speechbrain_can.corpus.protocols import (
    is_changing,
    make_folds,
    protocol_slug,
)
from speechbrain_can.corpus.sentences import sentence_of
from speechbrain_can.io.files import InputError


def corpus(sessions=5, turns=20):
    """Return two speakers per session with six emotions of unequal frequency."""
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
def test_folds_do_not_depend_on_the_order(protocol):
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
def test_speakers_are_in_one_set(protocol):
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


def test_speakers_with_several_sessions():
    utterances = {
        name: replace(row, speaker=row.speaker[-1])
        for name, row in corpus().items()
    }
    with pytest.raises(
        InputError, match="speaker F occurs in several sessions"
    ):
        make_folds("leave_one_session_out", utterances, seed=1)
    utterances = {
        name: replace(row, speaker="") for name, row in corpus().items()
    }
    with pytest.raises(InputError, match="needs the speaker of every"):
        make_folds("leave_one_session_out", utterances, seed=1)


def test_leave_one_session_out_needs_three_sessions():
    assert count_folds(make_folds("leave_one_session_out", corpus(3), 1)) == 3
    with pytest.raises(ValueError, match="at least three sessions"):
        make_folds("leave_one_session_out", corpus(2), 1)


def test_leave_one_speaker_out_needs_three_speakers():
    with pytest.raises(ValueError, match="at least three speakers"):
        make_folds("leave_one_speaker_out", corpus(1), 1)


def test_unknown_protocol():
    with pytest.raises(ValueError, match="random10, leave_one_session_out"):
        make_folds("random5", corpus(), 1)


def test_unknown_fold():
    with pytest.raises(ValueError, match="folds 0 to 4"):
        split_fold(make_folds("leave_one_session_out", corpus(), 1), 5)


def test_corpus_too_small():
    utterances = dict(list(corpus().items())[:1])
    with pytest.raises(ValueError, match="no utterances for train and valid"):
        split_fold(make_folds("random10", utterances, 1), 0)


def test_folds_round_trip(tmp_path):
    for protocol in ("random10", "leave_one_session_out"):
        folds = make_folds(protocol, corpus(), seed=1)
        write_folds(tmp_path / "folds.csv", folds)
        assert read_folds(tmp_path / "folds.csv") == folds


def test_published_folds_of_emodb():
    published = read_folds(
        ROOT / "manifests" / "emodb_leave_one_speaker_out.csv"
    )
    assert len(published) == 535
    utterances = {i: utterance(i, speaker=i[:2]) for i in published}
    assert published == make_folds("leave_one_speaker_out", utterances, seed=1)


def test_published_folds_match_the_corpus(emodb_prepare, data):
    recordings, _ = emodb_prepare.list_recordings(data / "emodb")
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
        InputError, match="at least three folds .* found the groups .'a', 'b'"
    ):
        make_folds(
            "group:speaker",
            {n: u for n, u in utterances.items() if n != "c1"},
            seed=1,
        )
    with pytest.raises(InputError, match="the session of every .* but 1 have"):
        make_folds("group:session", {"a": utterance("a", session="")}, seed=1)


def test_given_folds(tmp_path):
    utterances = {name: utterance(name) for name in "abcde"}

    def given(parts):
        """Return the folds of a manifest with these values in ``fold``."""
        rows = {
            name: replace(row, extra={"fold": parts[name]})
            for name, row in utterances.items()
        }
        return make_folds("given", rows, seed=1)

    folds = given(
        dict(zip("abcde", ("train", "train", "valid", "test", "test")))
    )
    write_folds(tmp_path / "folds.csv", folds)
    folds = read_folds(tmp_path / "folds.csv")
    assert count_folds(folds) == 1
    assert split_fold(folds, 0) == {
        "train": ["a", "b"],
        "valid": ["c"],
        "test": ["d", "e"],
    }
    numbers = dict(zip("abcde", "01201"))
    assert split_fold(given(numbers), 0) == {
        "train": ["c"],
        "valid": ["b", "e"],
        "test": ["a", "d"],
    }
    with pytest.raises(InputError, match="c: invalid fold 'two'"):
        given({**numbers, "c": "two"})
    with pytest.raises(InputError, match="1 have none, for example c"):
        given({**numbers, "c": ""})
    with pytest.raises(InputError, match="from 0 to 3, but no .* is in 0"):
        given(dict(zip("abcde", "12312")))
    with pytest.raises(
        InputError, match="no utterance has the fold test, valid"
    ):
        given(dict.fromkeys("abcde", "train"))
    with pytest.raises(InputError, match="does not specify folds"):
        make_folds("given", utterances, seed=1)


def scripts():
    """Return two speakers per session with the same scripts and improvised dialogs."""
    rows = {}
    for session in "123":
        for talker in "FM":
            for i in range(8):
                name = f"Ses0{session}_{talker}_s{i}"
                text = f"This is what sentence number {'abcdefgh'[i] * 4} says"
                rows[name] = utterance(
                    name,
                    session=session,
                    speaker=session + talker,
                    dialog=f"{session}_script",
                    scripted=True,
                    # read with an error
                    transcription=text + ("." if talker == "F" else "s!"),
                )
                name = f"Ses0{session}_{talker}_i{i}"
                rows[name] = utterance(
                    name,
                    session=session,
                    speaker=session + talker,
                    dialog=f"{session}_impro{i // 4}",
                    scripted=False,
                    transcription=f"Freely {name}",
                )
    return rows


@pytest.mark.parametrize("protocol", ["script_disjoint", "script_disjoint:3"])
def test_no_scripted_sentence_is_in_two_parts(protocol):
    utterances = scripts()
    folds = make_folds(protocol, utterances, seed=1)
    assert set(folds) == set(utterances)
    n_folds = count_folds(folds)
    assert n_folds == (3 if protocol.endswith("3") else 10)
    for fold in range(n_folds):
        said = [
            {
                # the misread sentence is a near-duplicate
                sentence_of(utterances[name]).rstrip("s")
                for name in names
                if utterances[name].scripted
            }
            for names in split_fold(folds, fold).values()
        ]
        assert sum(map(len, said)) == len(set.union(*said)) == 8
        dialogs = [
            {
                utterances[name].dialog
                for name in names
                if not utterances[name].scripted
            }
            for names in split_fold(folds, fold).values()
        ]
        assert sum(map(len, dialogs)) == len(set.union(*dialogs)) == 6


def test_improvised_scripted_sentences_stay_together():
    utterances = scripts()
    text = utterances["Ses01_F_s0"].transcription
    utterances["free"] = utterance(
        "free", scripted=False, transcription=text, dialog="1_impro0"
    )
    # two words may be repeated by chance
    for name, scripted in (("yes", True), ("no", False)):
        utterances[name] = utterance(
            name, scripted=scripted, transcription="Oh yes!", dialog="1_impro0"
        )
    folds = make_folds("script_disjoint:3", utterances, seed=1)
    assert folds["free"] == folds["Ses01_F_s0"]
    assert folds["no"] == folds["Ses01_F_i0"]


def test_unknown_sessions():
    utterances = scripts()
    for column in ("session", "speaker"):
        partly = {
            **utterances,
            "a": replace(utterances["Ses01_F_s0"], **{column: ""}),
        }
        with pytest.raises(
            InputError, match=f"the {column} of every .* none, for example a"
        ):
            make_folds("leave_one_session_out", partly, seed=1)


def test_improvised_only():
    utterances = scripts()
    folds = make_folds("improvised:leave_one_session_out", utterances, seed=1)
    free = {name: u for name, u in utterances.items() if not u.scripted}
    assert folds == make_folds("leave_one_session_out", free, seed=1)
    with pytest.raises(InputError, match="improvised needs a protocol"):
        make_folds("improvised", utterances, seed=1)
    with pytest.raises(InputError, match="all utterances .* are scripted"):
        make_folds(
            "improvised:random10",
            {n: replace(u, scripted=True) for n, u in utterances.items()},
            seed=1,
        )
    with pytest.raises(InputError, match="contains no scripted utterance"):
        make_folds("script_disjoint", free, seed=1)


def test_any_column_and_any_number_of_folds():
    utterances = {
        f"u{i:02}": replace(utterance(f"u{i:02}"), extra={"room": f"r{i % 7}"})
        for i in range(40)
    }
    folds = make_folds("group:room:4", utterances, seed=1)
    assert count_folds(folds) == 4
    for i in range(7):
        assert len({folds[f"u{j:02}"] for j in range(i, 40, 7)}) == 1
    slugs = map(protocol_slug, ("group:room:4", "group:room_4", "group:room/4"))
    assert len({*slugs}) == 3 and not any("/" in slug for slug in slugs)
    for protocol, reason in {
        "group:room:8": "has only 7 groups, too few for 8 folds",
        "group:room:two": "the number of folds, such as 5",
        "group:room:²": "the number of folds, such as 5",
        "group:room:2": "needs at least three folds",
        "group:hall": "no column 'hall'. Choose one of speaker, .* room",
        "group": "protocol 'group': missing .*'column'",
        "random10:5": "protocol 'random10:5': too many",
    }.items():
        with pytest.raises(InputError, match=reason):
            make_folds(protocol, utterances, seed=1)


def test_tested_classes_must_be_in_the_training_set():
    utterances = {
        name: utterance(name, speaker=name, emotion=emotion)
        for name, emotion in zip("abcd", ("sad", "sad", "sad", "joy"))
    }
    folds = make_folds("leave_one_speaker_out", utterances, seed=1)
    check_classes(folds, utterances, 0)
    with pytest.raises(
        InputError, match="fold 3: the test set contains joy, but"
    ):
        check_classes(folds, utterances, 3)
    with pytest.raises(
        InputError, match="fold 2: the validation set contains joy, but"
    ):
        check_classes(folds, utterances, 2)


def test_a_fold_list(tmp_path):
    utterances = {name: utterance(name) for name in "abcd"}
    folds = {n: FoldAssignment(i, (i + 1) % 3) for i, n in enumerate("abc")}
    path = tmp_path / "folds.csv"
    write_folds(path, folds)
    # no fold uses d
    assert make_folds(f"file:{path}", utterances, seed=1) == folds
    with pytest.raises(InputError, match="not in the manifest, for example c"):
        make_folds(f"file:{path}", {n: utterances[n] for n in "abd"}, seed=1)
    path.write_text(path.read_text() + "b,0,1\n")
    with pytest.raises(InputError, match="line 5: duplicate ID b"):
        make_folds(f"file:{path}", utterances, seed=1)
    path.write_text("ID,test_fold,valid_fold\na,one,\n")
    with pytest.raises(InputError, match="'one' is not a fold number"):
        make_folds(f"file:{path}", utterances, seed=1)
    path.write_text("ID,test_fold\na,1\n")
    with pytest.raises(InputError, match=r"missing columns: valid_fold"):
        make_folds(f"file:{path}", utterances, seed=1)
    path.write_text("\ufeffID,test_fold,valid_fold\na,0,1\nb,1,1\nc,2,0\n")
    with pytest.raises(InputError, match="b: validation fold 1 equals"):
        make_folds(f"file:{path}", utterances, seed=1)
    with pytest.raises(InputError, match="fold list not found"):
        make_folds("file:nowhere.csv", utterances, seed=1)


def test_custom_protocol(tmp_path, monkeypatch):
    (tmp_path / "my_folds.py").write_text(
        "from speechbrain_can.corpus.fold_lists import FoldAssignment\n"
        "def in_turn(utterances, seed):\n"
        "    return {name: FoldAssignment(i % 3, (i + 1) % 3)\n"
        "            for i, name in enumerate(sorted(utterances))}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folds = make_folds("my_folds.in_turn", corpus(), seed=1)
    assert count_folds(folds) == 3
    assert is_changing("improvised:my_folds.in_turn")
    assert not is_changing("improvised:leave_one_session_out")
    with pytest.raises(InputError, match="has no attribute 'by_turn'"):
        make_folds("my_folds.by_turn", corpus(), seed=1)
    with pytest.raises(InputError, match="No module named 'your_folds'"):
        make_folds("your_folds.in_turn", corpus(), seed=1)
