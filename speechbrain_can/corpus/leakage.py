"""Data leakage: what training, validation and test sets have in common."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from speechbrain_can.corpus.fold_lists import (
    FoldAssignment,
    count_folds,
    split_fold,
)
from speechbrain_can.corpus.manifest import Utterance, resolve_wav
from speechbrain_can.corpus.sentences import group_near, is_long, sentence_of
from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import fingerprint

KINDS = (
    "speaker",
    "session",
    "dialog",
    "sentence",
    "near-duplicate sentence",
    "audio file",
)
COLUMNS = KINDS[:3]  # may be unknown in a manifest
# Leakage is the share of the first set's utterances also found in the second
PAIRS = (("test", "train"), ("test", "valid"), ("valid", "train"))


class LeakageError(InputError):
    """Raised when ``strict`` is set and test sets have leakage."""


def find_leaks(
    utterances: dict[str, Utterance],
    folds: dict[str, FoldAssignment],
    data_folder: str | Path,
) -> pd.DataFrame:
    """Return the leakage between the sets of each fold.

    There is one row per fold, kind and pair of sets: ``fold, kind, part, other``.
    ``share`` is the share of the utterances in ``part`` whose speaker, ... is also in
    ``other``, ``example`` one of them, and ``unknown`` the number of utterances whose
    value is unknown. Kinds that are unknown for all utterances, such as sessions,
    have no rows. Raises ``InputError`` if an audio file is missing.
    """
    used = {name: utterances[name] for name in folds}
    names = np.array(sorted(used))
    rows = []
    for kind, values in _values(used, data_folder).items():
        # Encode values as integers, None as -1.
        codes, known = pd.factorize(
            np.array([values[name] for name in names], dtype=object)
        )
        if not len(known):
            continue
        # Short sentences are known but not compared.
        unknown = int((codes < 0).sum()) if kind in COLUMNS else 0
        for fold in range(count_folds(folds)):
            parts = {
                part: np.searchsorted(names, ids)
                for part, ids in split_fold(folds, fold).items()
            }
            for part, other in PAIRS:
                there = np.zeros(len(known) + 1, dtype=bool)
                there[codes[parts[other]]] = True
                there[-1] = False  # index of unknown values
                shared = there[codes[parts[part]]]
                example = names[parts[part][shared.argmax()]]
                rows.append(
                    {
                        "fold": fold,
                        "kind": kind,
                        "part": part,
                        "other": other,
                        "share": float(shared.mean()),
                        "example": str(example) if shared.any() else "",
                        "unknown": unknown,
                    }
                )
    return pd.DataFrame(rows)


def _values(
    utterances: dict[str, Utterance], data_folder: str | Path
) -> dict[str, dict[str, str | None]]:
    """Return, by kind and ID, the values to compare; None is not compared."""
    sentences = {name: sentence_of(u) for name, u in utterances.items()}
    groups = group_near(sentences.values())
    long = {
        name: text if is_long(text) else None
        for name, text in sentences.items()
    }
    return {
        **{
            kind: {
                name: getattr(utterance, kind) or None
                for name, utterance in utterances.items()
            }
            for kind in COLUMNS
        },
        "sentence": long,
        "near-duplicate sentence": {
            name: text and f"group {groups[text]}"
            for name, text in long.items()
        },
        "audio file": _contents(utterances, data_folder),
    }


def _contents(
    utterances: dict[str, Utterance], data_folder: str | Path
) -> dict[str, str]:
    """Return checksums of the audio files; unique file sizes need no checksum."""
    paths = {
        name: Path(resolve_wav(utterance, data_folder))
        for name, utterance in utterances.items()
    }
    by_size = defaultdict(set)
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(
                f"{name}: the audio file {path} is missing. Restore it or prepare "
                "the corpus again."
            )
        by_size[path.stat().st_size].add(path)
    contents = {
        path: fingerprint(path.read_bytes()) if len(alike) > 1 else str(path)
        for alike in by_size.values()
        for path in alike
    }
    return {name: contents[path] for name, path in paths.items()}


def format_leaks(leaks: pd.DataFrame, table_format: str = "simple") -> str:
    """Format leakage as a table with the mean over folds and the worst fold."""
    shares = leaks.groupby(["kind", "part", "other"])["share"]
    mean, worst = shares.mean(), shares.max()

    def cell(*key):
        text = f"{mean[key]:.1%}"
        if f"{worst[key]:.1%}" != text:
            text += f" ({worst[key]:.1%})"
        return text

    unknown = leaks.groupby("kind")["unknown"].max()
    kinds = [kind for kind in KINDS if kind in unknown]
    return tabulate(
        [
            [
                f"{kind} ({unknown[kind]} unknown)" if unknown[kind] else kind,
                *(cell(kind, *pair) for pair in PAIRS),
            ]
            for kind in kinds
        ],
        headers=["same", *map(_heading, PAIRS)],
        tablefmt=table_format,
        stralign="left",
    )


def _heading(pair):
    part, other = (
        {"train": "training", "valid": "validation"}.get(name, name)
        for name in pair
    )
    return f"{part} and {other}"


def named_kinds(strict: bool | str | list[str] | None) -> list[str]:
    """Return the kinds that ``strict`` names; raise ``InputError`` for unknown ones."""
    if strict is True:
        return list(KINDS)
    named = [strict] if isinstance(strict, str) else strict or []
    if not isinstance(named, list) or set(named) - set(KINDS):
        raise InputError(
            f"invalid value strict={strict!r}. Pass True, False or some of "
            f"{', '.join(KINDS)}."
        )
    return named


def check_leaks(leaks: pd.DataFrame, strict: bool | str | list[str]) -> None:
    """Raise a ``LeakageError`` if test sets have leakage that ``strict`` refuses.

    ``strict`` is False, True for all kinds of leakage, or a list of ``KINDS``. The
    message contains kind, fold and an example. Raises ``InputError`` if a kind is
    unknown.
    """
    known = [kind for kind in KINDS if kind in set(leaks["kind"])]
    refused = known if strict is True else named_kinds(strict)
    unsaid = sorted(set(refused) - set(known))
    if unsaid:
        raise InputError(
            f"strict contains {unsaid[0]!r}, which the corpus does not specify"
        )
    partly = leaks[leaks["kind"].isin(refused) & (leaks["unknown"] > 0)]
    if len(partly):
        row = partly.iloc[0]
        raise LeakageError(
            f"strict is set, but the {row['kind']} of {row['unknown']} utterances "
            "is unknown. Add it, or list in strict only the kinds to check."
        )
    found = leaks[
        (leaks["part"] == "test")
        & (leaks["share"] > 0)
        & leaks["kind"].isin(refused)
    ]
    if len(found):
        lines = [
            f"{row.kind}: {row.share:.1%} of the test set of fold {row.fold} is "
            f"also in {row.other}, for example {row.example}"
            for row in found.drop_duplicates("kind").itertuples()
        ]
        raise LeakageError(
            "strict is set, but test sets have leakage:\n"
            + "\n".join(lines)
            + "\nChoose another protocol, or list in strict only the kinds to check."
        )
