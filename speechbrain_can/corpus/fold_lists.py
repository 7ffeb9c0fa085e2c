"""Fold lists: assignment of utterances to training, validation and test sets."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.io.files import InputError, atomic_write, parsing

PARTS = ("train", "valid", "test")
COLUMNS = ("ID", "test_fold", "valid_fold")


@dataclass(frozen=True)
class FoldAssignment:
    """Folds in which an utterance is in the test set and in the validation set.

    In all other folds it is in the training set.

    Arguments
    ---------
    test : int or None
        The fold that tests it; None if no fold does.
    valid : int or None
        The fold that validates on it, if any.
    """

    test: Optional[int]
    valid: Optional[int]


def write_folds(path: str | Path, folds: dict[str, FoldAssignment]) -> None:
    """Write a fold list: CSV with the columns ID, test_fold and valid_fold."""
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


def read_folds(path: str | Path) -> dict[str, FoldAssignment]:
    """Read a fold list.

    Raises ``InputError`` with file and line for missing columns, duplicate IDs and
    invalid fold numbers.
    """
    folds, alike = {}, {}
    # Spreadsheets add a byte order mark.
    with parsing(path, "a list of folds"), open(
        path, newline="", encoding="utf-8-sig"
    ) as stream:
        reader = csv.DictReader(stream)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path}, line 1: missing columns: {', '.join(missing)}"
            )
        for row in reader:
            place, name = f"{path}, line {reader.line_num}", row["ID"]
            if name in folds:
                raise InputError(f"{place}: duplicate ID {name}")
            numbers = [row[column] or None for column in COLUMNS[1:]]
            for number in numbers:
                if not re.fullmatch("[0-9]*", number or ""):
                    raise InputError(
                        f"{place} ({name}): {number!r} is not a fold number"
                    )
            # Share objects: there are only a few distinct assignments.
            key = tuple(None if n is None else int(n) for n in numbers)
            folds[name] = alike.setdefault(key, FoldAssignment(*key))
    return folds


def count_folds(folds: dict[str, FoldAssignment]) -> int:
    """Return the number of folds."""
    return 1 + max(
        (fold.test for fold in folds.values() if fold.test is not None),
        default=-1,
    )


def split_fold(
    folds: dict[str, FoldAssignment], fold: int
) -> dict[str, list[str]]:
    """Return the IDs of the training, validation and test set of a fold.

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
            f"fold {fold} does not exist. The protocol has folds 0 to "
            f"{count_folds(folds) - 1}."
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
            f"fold {fold} has no utterances for {' and '.join(empty)}. The corpus "
            "is too small for this protocol."
        )
    return parts


def check_listed(
    folds: dict[str, FoldAssignment], utterances: dict[str, Utterance]
) -> None:
    """Refuse folds with unknown utterances or without any test set."""
    unknown = sorted(set(folds) - set(utterances))
    if unknown:
        raise InputError(
            f"{len(unknown)} utterances of the folds are not in the manifest, for "
            f"example {unknown[0]}"
        )
    if not count_folds(folds):
        raise InputError("no utterance is assigned to a test fold")


def check_assignments(folds: dict[str, FoldAssignment]) -> None:
    """Refuse invalid fold assignments of a user's fold list or function."""
    others = [n for n, f in folds.items() if not isinstance(f, FoldAssignment)]
    if others:
        raise InputError(f"the fold of {others[0]} is not a FoldAssignment")
    n_folds = count_folds(folds)
    for name, fold in sorted(folds.items()):
        if fold.valid is not None and not (
            fold.valid in range(n_folds) and fold.valid != fold.test
        ):
            raise InputError(
                f"{name}: validation fold {fold.valid} equals its test fold or is "
                f"not in 0 to {n_folds - 1}"
            )


def check_classes(
    folds: dict[str, FoldAssignment],
    utterances: dict[str, Utterance],
    fold: int,
) -> None:
    """Refuse a fold whose training set lacks a class of the other sets."""
    classes = {
        part: {utterances[name].emotion for name in ids}
        for part, ids in split_fold(folds, fold).items()
    }
    for part, name in (("test", "test"), ("valid", "validation")):
        untrained = sorted(classes[part] - classes["train"])
        if untrained:
            raise InputError(
                f"fold {fold}: the {name} set contains {', '.join(untrained)}, but "
                "the training set does not. Choose other folds or exclude the class."
            )
