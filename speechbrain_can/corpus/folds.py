"""Fold lists: which utterances train, validate and test, by ID."""

import csv
import re
from dataclasses import dataclass
from typing import Optional

from speechbrain_can.files import InputError, atomic_write, parsing

PARTS = ("train", "valid", "test")
COLUMNS = ("ID", "test_fold", "valid_fold")


@dataclass(frozen=True)
class FoldAssignment:
    """The folds that an utterance tests and validates; in the others it trains.

    Arguments
    ---------
    test : int or None
        The fold in which it is tested; None if it is never.
    valid : int or None
        The fold in which it validates, if any.
    """

    test: Optional[int]
    valid: Optional[int]


def write_folds(path, folds):
    """Writes folds as a CSV: ``ID``, ``test_fold``, ``valid_fold``, or empty."""
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for utterance_id, fold in sorted(folds.items()):
            writer.writerow(
                [
                    utterance_id,
                    *("" if f is None else f for f in (fold.test, fold.valid)),
                ]
            )


def read_folds(path):
    """Reads what ``write_folds`` wrote.

    Raises ``InputError`` with file and line for a missing column, an ID that
    stands twice, and what is no number of a fold.
    """
    folds, alike = {}, {}
    # as a spreadsheet saves it, too
    with parsing(path, "a list of folds"), open(
        path, newline="", encoding="utf-8-sig"
    ) as stream:
        reader = csv.DictReader(stream)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path}, line 1: missing column(s) {', '.join(missing)}"
            )
        for row in reader:
            place, name = f"{path}, line {reader.line_num}", row["ID"]
            if name in folds:
                raise InputError(f"{place}: {name} is listed twice")
            numbers = [row[column] or None for column in COLUMNS[1:]]
            for number in numbers:
                if not re.fullmatch("[0-9]*", number or ""):
                    raise InputError(
                        f"{place} ({name}): {number!r} is no number of a fold"
                    )
            # one object for all that are treated alike: there are few
            key = tuple(None if n is None else int(n) for n in numbers)
            folds[name] = alike.setdefault(key, FoldAssignment(*key))
    return folds


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


def check_listed(folds, utterances):
    """Refuses, with an ``InputError``, folds of other utterances, or of none."""
    unknown = sorted(set(folds) - set(utterances))
    if unknown:
        raise InputError(
            f"{len(unknown)} utterances of the folds are not in the manifest, "
            f"{unknown[0]} among them"
        )
    if not count_folds(folds):
        raise InputError("these folds test no utterance")


def check_assignments(folds):
    """Refuses, with an ``InputError``, what somebody wrote that is no fold list."""
    others = [n for n, f in folds.items() if not isinstance(f, FoldAssignment)]
    if others:
        raise InputError(f"{others[0]} has no FoldAssignment")
    n_folds = count_folds(folds)
    for name, fold in sorted(folds.items()):
        if fold.valid is not None and not (
            fold.valid in range(n_folds) and fold.valid != fold.test
        ):
            raise InputError(
                f"{name} validates in fold {fold.valid}, which it is tested in, "
                f"or which is not one of 0 to {n_folds - 1}"
            )


def check_classes(folds, utterances, fold):
    """Refuses, with an ``InputError``, a fold that does not train every class."""
    classes = {
        part: {utterances[name].emotion for name in ids}
        for part, ids in split_fold(folds, fold).items()
    }
    for part, verb in (("test", "tests"), ("valid", "validates")):
        untrained = sorted(classes[part] - classes["train"])
        if untrained:
            raise InputError(
                f"fold {fold} {verb} {', '.join(untrained)}, of which no utterance "
                "trains; choose other folds, or leave the class out"
            )
