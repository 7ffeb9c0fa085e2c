"""Folds: which utterances train, validate and test, the same on every machine.

A protocol maps utterances to folds. Each utterance is tested in one fold and
validates in at most one other; in the remaining folds it trains. ``PROTOCOLS``
has them by the name that YAML uses:

``random10``
    The paper's: 10 folds, 8:1:1, stratified by emotion. Speakers and scripted
    sentences are shared between training and test.
``session5``
    Leave one session out. One talker of the next session validates, the woman
    in even folds and the man in odd ones, and the other talker of that session
    trains with the three sessions that are left: no speaker is in two parts.
    With fewer than three sessions the speakers of training and validation
    cannot be disjoint from each other and from the test; that is refused.
``speaker10``
    Leave one speaker out; the next speaker validates.

No protocol here keeps *texts* apart: scripted sentences recur in every session.
``describe_fold`` states both kinds of leak for a fold.

Authors
 * The speechbrain-can developers 2026
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import Optional

import numpy as np

from speechbrain_can.files import atomic_write

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class FoldAssignment:
    """The folds that an utterance tests and validates.

    Arguments
    ---------
    test : int
        The fold in which it is tested.
    valid : int or None
        The fold in which it validates, if any.
    """

    test: int
    valid: Optional[int]


def random10(utterances, seed, n_folds=10):
    """Stratified random folds of the paper: 8:1:1.

    Arguments
    ---------
    utterances : dict of str: Utterance
        The corpus.
    seed : int
        Another seed gives other folds.
    n_folds : int
        Number of folds.

    Returns
    -------
    dict of str: FoldAssignment
        The folds by ID.
    """
    by_emotion = defaultdict(list)
    for name in sorted(utterances):
        by_emotion[utterances[name].emotion].append(name)
    generator = np.random.default_rng(seed)
    shuffled = [
        by_emotion[emotion][i]
        for emotion in sorted(by_emotion)
        for i in generator.permutation(len(by_emotion[emotion]))
    ]
    # Dealing on from class to class keeps the folds' sizes within one.
    return {
        name: FoldAssignment(i % n_folds, (i - 1) % n_folds)
        for i, name in enumerate(shuffled)
    }


def session5(utterances, seed=None):
    """Leave one session out, a speaker of the next session validates.

    Arguments
    ---------
    utterances : dict of str: Utterance
        The corpus.
    seed : int
        Not used: nothing is random.

    Returns
    -------
    dict of str: FoldAssignment
        The folds by ID.

    Raises
    ------
    ValueError
        If there are fewer than three sessions.
    """
    speakers = defaultdict(set)
    for utterance in utterances.values():
        speakers[utterance.session].add(utterance.speaker)
    sessions = sorted(speakers)
    if len(sessions) < 3:
        raise ValueError(
            f"session5 needs three sessions or more, found {sessions}: with "
            "fewer, no speaker is left to validate that neither trains nor is "
            "tested"
        )
    valid_fold = {}
    for fold in range(len(sessions)):
        candidates = sorted(speakers[sessions[(fold + 1) % len(sessions)]])
        valid_fold[candidates[fold % len(candidates)]] = fold
    return {
        name: FoldAssignment(
            sessions.index(utterance.session), valid_fold.get(utterance.speaker)
        )
        for name, utterance in sorted(utterances.items())
    }


def speaker10(utterances, seed=None):
    """Leave one speaker out, the next speaker validates.

    Arguments
    ---------
    utterances : dict of str: Utterance
        The corpus.
    seed : int
        Not used: nothing is random.

    Returns
    -------
    dict of str: FoldAssignment
        The folds by ID.

    Raises
    ------
    ValueError
        If there are fewer than three speakers.
    """
    speakers = sorted({u.speaker for u in utterances.values()})
    if len(speakers) < 3:
        raise ValueError(
            f"speaker10 needs three speakers or more, found {speakers}"
        )
    fold = {speaker: i for i, speaker in enumerate(speakers)}
    return {
        name: FoldAssignment(
            fold[utterance.speaker],
            (fold[utterance.speaker] - 1) % len(speakers),
        )
        for name, utterance in sorted(utterances.items())
    }


PROTOCOLS = {
    "random10": random10,
    "session5": session5,
    "speaker10": speaker10,
}


def make_folds(protocol, utterances, seed):
    """The folds of a protocol, by its name.

    Arguments
    ---------
    protocol : str
        A name in ``PROTOCOLS``.
    utterances : dict of str: Utterance
        The corpus.
    seed : int
        Passed on to the protocol.

    Returns
    -------
    dict of str: FoldAssignment
        The folds by ID.

    Raises
    ------
    ValueError
        If the name is unknown or the corpus too small for the protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"protocol {protocol!r} is unknown; choose one of "
            f"{', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[protocol](utterances, seed)


def write_folds(path, folds):
    """Writes folds as a CSV: ``ID``, ``test_fold``, ``valid_fold`` (or empty).

    Arguments
    ---------
    path : str or Path
        The file.
    folds : dict of str: FoldAssignment
        The folds by ID.
    """
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(["ID", "test_fold", "valid_fold"])
        for name, fold in sorted(folds.items()):
            writer.writerow(
                [name, fold.test, "" if fold.valid is None else fold.valid]
            )


def read_folds(path):
    """Reads what ``write_folds`` wrote.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict of str: FoldAssignment
        The folds by ID.
    """
    with open(path, newline="", encoding="utf-8") as stream:
        return {
            row["ID"]: FoldAssignment(
                int(row["test_fold"]),
                int(row["valid_fold"]) if row["valid_fold"] else None,
            )
            for row in csv.DictReader(stream)
        }


def count_folds(folds):
    """Number of folds.

    Arguments
    ---------
    folds : dict of str: FoldAssignment
        The folds by ID.

    Returns
    -------
    int
        The number.
    """
    return 1 + max(fold.test for fold in folds.values())


def split_fold(folds, fold):
    """IDs of the training, validation and test set of one fold.

    Arguments
    ---------
    folds : dict of str: FoldAssignment
        The folds by ID.
    fold : int
        The fold.

    Returns
    -------
    dict of str: list of str
        Sorted IDs under ``train``, ``valid`` and ``test``.

    Raises
    ------
    ValueError
        If there is no such fold, or one of its sets is empty.

    Example
    -------
    >>> folds = {
    ...     name: FoldAssignment(i, (i + 1) % 3) for i, name in enumerate("abc")
    ... }
    >>> split_fold(folds, 0)
    {'train': ['b'], 'valid': ['c'], 'test': ['a']}
    """
    if fold not in range(count_folds(folds)):
        raise ValueError(
            f"fold {fold} does not exist; the protocol has folds 0 to "
            f"{count_folds(folds) - 1}"
        )
    parts = {part: [] for part in PARTS}
    for name in sorted(folds):
        if folds[name].test == fold:
            parts["test"].append(name)
        elif folds[name].valid == fold:
            parts["valid"].append(name)
        else:
            parts["train"].append(name)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise ValueError(
            f"fold {fold} has no utterance to {' or '.join(empty)}; the corpus "
            "is too small for this protocol"
        )
    return parts


def describe_fold(utterances, parts):
    """States how honest a fold is: sizes, shared speakers, shared texts.

    Arguments
    ---------
    utterances : dict of str: Utterance
        The corpus.
    parts : dict of str: list of str
        What ``split_fold`` gives.

    Returns
    -------
    str
        One line.
    """
    speakers = {
        part: {utterances[name].speaker for name in parts[part]}
        for part in PARTS
    }
    training_texts = {
        tuple(word.text for word in utterances[name].words)
        for name in parts["train"]
    }
    known = sum(
        tuple(word.text for word in utterances[name].words) in training_texts
        for name in parts["test"]
    )
    sizes = ", ".join(f"{len(parts[part])} {part}" for part in PARTS)
    shared = len(speakers["test"] & (speakers["train"] | speakers["valid"]))
    return (
        f"{sizes}; {shared} of {len(speakers['test'])} test speakers are heard "
        f"outside the test set, {known / len(parts['test']):.0%} of the test "
        "sentences are also in training"
    )
