from dataclasses import replace

import pytest
from helpers.corpora import utterance

from speechbrain_can.corpus.fold_lists import FoldAssignment
from speechbrain_can.corpus.leakage import (
    LeakageError,
    check_leaks,
    find_leaks,
    format_leaks,
)
from speechbrain_can.corpus.sentences import group_near
from speechbrain_can.io.files import InputError

SENTENCES = {
    "a": "I will never do that again.",
    "b": "i will never do that again",
    "c": "I would never do that again!",
    "d": "Yeah.",
    "e": "Yeah.",
    "f": "Where did you put the keys?",
}


@pytest.fixture
def leaks(tmp_path):
    """Return the leakage of three folds; fold 0 tests a and d, validates on b and e, trains on c
    and f."""
    order = {"a": 0, "d": 0, "b": 1, "e": 1, "c": 2, "f": 2}
    utterances = {}
    for name, text in SENTENCES.items():
        wav = tmp_path / f"{name}.wav"
        # a and c are the same file with different names
        wav.write_bytes(b"same" if name in "ac" else f"of {name}".encode())
        utterances[name] = replace(
            utterance(
                name, speaker=f"S{order[name]}", session="", transcription=text
            ),
            wav=f"$data_root/{name}.wav",
            dialog="1",
        )
    folds = {n: FoldAssignment(i, (i - 1) % 3) for n, i in order.items()}
    return find_leaks(utterances, folds, tmp_path)


def share(leaks, kind, part, other, fold=0):
    """Return one value of the table."""
    (found,) = leaks[
        (leaks["kind"] == kind)
        & (leaks["part"] == part)
        & (leaks["other"] == other)
        & (leaks["fold"] == fold)
    ]["share"]
    return found


def test_leakage_between_sets(leaks):
    assert share(leaks, "speaker", "test", "train") == 0
    assert share(leaks, "dialog", "test", "train") == 1
    # punctuation, case and short sentences are ignored
    assert share(leaks, "sentence", "test", "valid") == 0.5
    assert share(leaks, "sentence", "test", "train") == 0
    assert share(leaks, "near-duplicate sentence", "test", "train") == 0.5
    assert share(leaks, "near-duplicate sentence", "valid", "train") == 0.5
    assert share(leaks, "audio file", "test", "train") == 0.5
    assert share(leaks, "audio file", "test", "valid") == 0
    # sessions are unknown
    assert "session" not in set(leaks["kind"])


def test_the_table_has_means_and_the_worst_fold(leaks):
    table = format_leaks(leaks).splitlines()
    assert "test and training" in table[0]
    (row,) = [line for line in table if line.startswith("audio file")]
    # a and c are tested in folds 0 and 2; c is trained on only in fold 0
    assert row.split()[2:] == [
        *("16.7%", "(50.0%)"),
        *("16.7%", "(50.0%)"),
        *("16.7%", "(50.0%)"),
    ]


def test_strict(leaks):
    check_leaks(leaks, strict=False)
    check_leaks(leaks, strict=["speaker"])
    with pytest.raises(
        LeakageError,
        match="audio file: 50.0% of the test set of fold 0 .* train, for example a",
    ):
        check_leaks(leaks, strict=["speaker", "audio file"])
    with pytest.raises(LeakageError, match="dialog: 100.0%"):
        check_leaks(leaks, strict=True)
    with pytest.raises(LeakageError, match="audio file: 50.0%"):
        check_leaks(leaks, strict="audio file")
    for wrong in (["text"], "text", 1):
        with pytest.raises(InputError, match="strict=.* Pass True, False"):
            check_leaks(leaks, strict=wrong)
    with pytest.raises(
        InputError, match="'session', which the corpus does not"
    ):
        check_leaks(leaks, strict=["session"])


def test_unknown_speakers_fail_strict_mode(tmp_path):
    utterances = {}
    for i, name in enumerate("abcdef"):
        wav = tmp_path / f"{name}.wav"
        wav.write_bytes(name.encode())
        utterances[name] = replace(
            utterance(name, speaker="" if i < 2 else f"S{i}"),
            wav=f"$data_root/{name}.wav",
        )
    folds = {
        name: FoldAssignment(i % 3, (i - 1) % 3)
        for i, name in enumerate(utterances)
    }
    leaks = find_leaks(utterances, folds, tmp_path)
    assert "speaker (2 unknown)" in format_leaks(leaks)
    with pytest.raises(
        LeakageError, match="speaker of 2 utterances is unknown"
    ):
        check_leaks(leaks, strict=["speaker"])
    check_leaks(leaks, strict=["audio file"])
    (tmp_path / "c.wav").unlink()
    with pytest.raises(
        InputError, match="c: the audio file .*c.wav is missing"
    ):
        find_leaks(utterances, folds, tmp_path)


def test_near_duplicates_equal_pairwise_comparison():
    from rapidfuzz import fuzz

    words = "you know that i can not hear what they say over there now".split()
    texts = sorted(
        {
            " ".join(words[i : i + n]) + suffix
            for i in range(6)
            for n in range(1, 8)
            for suffix in ("", "s", " too")
        }
    )
    parents = {text: text for text in texts}

    def root(text):
        return text if parents[text] == text else root(parents[text])

    for text in texts:
        for other in texts:
            if min(len(text.split()), len(other.split())) >= 3:
                if fuzz.ratio(text, other) >= 90:
                    parents[root(text)] = root(other)
    groups = group_near(texts)
    for text in texts:
        for other in texts:
            assert (groups[text] == groups[other]) == (
                root(text) == root(other)
            )
