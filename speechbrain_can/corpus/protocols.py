"""Folds: which utterances train, validate and test, the same on every machine.

A protocol maps utterances to folds. Each utterance is tested in one fold and
validates in at most one other; in the remaining folds it trains. ``PROTOCOLS``
has them by the name that YAML uses:

``random10``
    The paper's: 10 folds, 8:1:1, stratified by emotion. Speakers and scripted
    sentences are shared between training and test.
``leave_one_session_out``
    Leave one session out. One talker of the next session validates, the woman
    in even folds and the man in odd ones, and the other talker of that session
    trains with the three sessions that are left: no speaker is in two parts.
    With fewer than three sessions the speakers of training and validation
    cannot be disjoint from each other and from the test; that is refused.
``leave_one_speaker_out``
    Leave one speaker out; the next speaker validates. Where two speakers talk
    to each other, the partner of the one that is tested trains or validates:
    their dialogs are shared.
``group:speaker``, ``group:session``, ``group:dialog``
    At most ten folds of about the same size, in which nothing of a speaker,
    session or dialog is in two parts: for corpora with many of them.
``given``
    As the corpus says, utterance by utterance: a fold's number, or ``train``,
    ``valid`` and ``test``.

No protocol here keeps *texts* apart: scripted sentences recur in every session.
``leakage.describe_fold`` states for a fold what is shared.

Authors
 * The speechbrain-can developers 2026
"""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Optional

import numpy as np

from speechbrain_can.files import InputError, atomic_write

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class FoldAssignment:
    """The folds that an utterance tests and validates.

    Arguments
    ---------
    test : int or None
        The fold in which it is tested; None if it is never.
    valid : int or None
        The fold in which it validates, if any.
    """

    test: Optional[int]
    valid: Optional[int]


def random10(utterances, seed, n_folds=10):
    """Stratified random folds of the paper: 8:1:1."""
    by_emotion = defaultdict(list)
    for utterance_id in sorted(utterances):
        emotion = utterances[utterance_id].emotion
        by_emotion[emotion].append(utterance_id)
    generator = np.random.default_rng(seed)
    shuffled = [
        by_emotion[emotion][i]
        for emotion in sorted(by_emotion)
        for i in generator.permutation(len(by_emotion[emotion]))
    ]
    # Dealing on from class to class keeps the folds' sizes within one.
    return {
        utterance_id: FoldAssignment(i % n_folds, (i - 1) % n_folds)
        for i, utterance_id in enumerate(shuffled)
    }


def leave_one_session_out(utterances, seed=None):
    """Leave one session out, a speaker of the next session validates."""
    speakers = defaultdict(set)
    for utterance in utterances.values():
        speakers[utterance.session].add(utterance.speaker)
    sessions = sorted(speakers)
    if len(sessions) < 3:
        raise InputError(
            "leave_one_session_out needs three sessions or more, found "
            f"{sessions}: with fewer, no speaker is left to validate that "
            "neither trains nor is tested"
        )
    valid_fold = {}
    for fold in range(len(sessions)):
        candidates = sorted(speakers[sessions[(fold + 1) % len(sessions)]])
        valid_fold[candidates[fold % len(candidates)]] = fold
    return {
        utterance_id: FoldAssignment(
            sessions.index(utterance.session), valid_fold.get(utterance.speaker)
        )
        for utterance_id, utterance in sorted(utterances.items())
    }


def leave_one_speaker_out(utterances, seed=None):
    """Leave one speaker out, the next speaker validates."""
    speakers = sorted({u.speaker for u in utterances.values()})
    if len(speakers) < 3:
        raise InputError(
            "leave_one_speaker_out needs three speakers or more, found "
            f"{speakers}"
        )
    fold = {speaker: i for i, speaker in enumerate(speakers)}
    return {
        utterance_id: FoldAssignment(
            fold[utterance.speaker],
            (fold[utterance.speaker] - 1) % len(speakers),
        )
        for utterance_id, utterance in sorted(utterances.items())
    }


def grouped(utterances, column, n_folds=10):
    """Folds of whole groups of a column; the next fold validates.

    The largest group goes to the emptiest fold first, so that folds become
    about as large as each other.
    """
    sizes = Counter(getattr(u, column) for u in utterances.values())
    if "" in sizes:
        raise InputError(
            f"group:{column} needs the {column} of every utterance, and "
            f"{sizes['']} have none"
        )
    n_folds = min(n_folds, len(sizes))
    if n_folds < 3:
        raise InputError(
            f"group:{column} needs three of them or more, found {sorted(sizes)}"
        )
    fold, filled = {}, [0] * n_folds
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        fold[group] = filled.index(min(filled))
        filled[fold[group]] += sizes[group]
    return {
        utterance_id: FoldAssignment(
            fold[getattr(utterance, column)],
            (fold[getattr(utterance, column)] - 1) % n_folds,
        )
        for utterance_id, utterance in sorted(utterances.items())
    }


def given_folds(utterances, parts):
    """Folds from what the corpus says of each utterance.

    ``parts`` has, by ID, a fold's number as text (the next fold validates), or
    one of ``train``, ``valid`` and ``test`` for all.
    """
    found = {utterance_id: parts[utterance_id] for utterance_id in utterances}
    without = sorted(name for name, part in found.items() if not part)
    if without:
        raise InputError(
            f"{len(without)} utterances have no fold, {without[0]} among them; "
            "the protocol given needs that of every one"
        )
    if set(found.values()) <= set(PARTS):
        whole = {
            "train": FoldAssignment(None, None),
            "valid": FoldAssignment(None, 0),
            "test": FoldAssignment(0, None),
        }
        missing = set(PARTS) - set(found.values())
        if missing:
            raise InputError(
                f"no utterance is given for {', '.join(sorted(missing))}"
            )
        return {name: whole[part] for name, part in sorted(found.items())}
    for utterance_id, part in sorted(found.items()):
        if not part.isdigit():
            raise InputError(
                f"{utterance_id} has the fold {part!r}; give a number from 0 for "
                f"every utterance, or one of {', '.join(PARTS)} for every one"
            )
    n_folds = 1 + max(map(int, found.values()))
    empty = set(range(n_folds)) - set(map(int, found.values()))
    if empty:
        raise InputError(
            f"folds are numbered from 0 to {n_folds - 1}, and no utterance is in "
            f"{', '.join(map(str, sorted(empty)))}"
        )
    return {
        utterance_id: FoldAssignment(int(part), (int(part) - 1) % n_folds)
        for utterance_id, part in sorted(found.items())
    }


GROUP, GIVEN = "group:", "given"
GROUPS = ("speaker", "session", "dialog")
PROTOCOLS = {
    "random10": random10,
    "leave_one_session_out": leave_one_session_out,
    "leave_one_speaker_out": leave_one_speaker_out,
}
# what they were called at first
ALIASES = {
    "session5": "leave_one_session_out",
    "speaker10": "leave_one_speaker_out",
}


def protocol_name(protocol):
    """The name in ``PROTOCOLS`` of a protocol or its alias."""
    name = ALIASES.get(protocol, protocol)
    known = [*PROTOCOLS, *(GROUP + column for column in GROUPS), GIVEN]
    if name not in known:
        raise InputError(
            f"protocol {protocol!r} is unknown; choose one of "
            f"{', '.join(known)}"
        )
    return name


def make_folds(protocol, utterances, seed, parts=None):
    """The folds of a protocol, by its name: a ``FoldAssignment`` by ID.

    ``parts`` is what the corpus says of each utterance, for ``given``.
    """
    name = protocol_name(protocol)
    if name.startswith(GROUP):
        return grouped(utterances, name[len(GROUP) :])
    if name != GIVEN:
        return PROTOCOLS[name](utterances, seed)
    if parts is None:
        raise InputError("this corpus has no folds of its own")
    return given_folds(utterances, parts)


def write_folds(path, folds):
    """Writes folds as a CSV: ``ID``, ``test_fold``, ``valid_fold``, or empty."""
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(["ID", "test_fold", "valid_fold"])
        for utterance_id, fold in sorted(folds.items()):
            writer.writerow(
                [
                    utterance_id,
                    *("" if f is None else f for f in (fold.test, fold.valid)),
                ]
            )


def read_folds(path):
    """Reads what ``write_folds`` wrote."""
    with open(path, newline="", encoding="utf-8") as stream:
        return {
            row["ID"]: FoldAssignment(
                *(
                    int(row[column]) if row[column] else None
                    for column in ("test_fold", "valid_fold")
                )
            )
            for row in csv.DictReader(stream)
        }


def count_folds(folds):
    """Number of folds."""
    return 1 + max(
        (fold.test for fold in folds.values() if fold.test is not None),
        default=-1,
    )


def split_fold(folds, fold):
    """IDs of the training, validation and test set of one fold.

    Example
    -------
    >>> folds = {
    ...     name: FoldAssignment(i, (i + 1) % 3) for i, name in enumerate("abc")
    ... }
    >>> split_fold(folds, 0)
    {'train': ['b'], 'valid': ['c'], 'test': ['a']}
    """
    if fold not in range(count_folds(folds)):
        raise InputError(
            f"fold {fold} does not exist; the protocol has folds 0 to "
            f"{count_folds(folds) - 1}"
        )
    parts = {part: [] for part in PARTS}
    for utterance_id in sorted(folds):
        if folds[utterance_id].test == fold:
            parts["test"].append(utterance_id)
        elif folds[utterance_id].valid == fold:
            parts["valid"].append(utterance_id)
        else:
            parts["train"].append(utterance_id)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise InputError(
            f"fold {fold} has no utterance to {' or '.join(empty)}; the corpus "
            "is too small for this protocol"
        )
    return parts
