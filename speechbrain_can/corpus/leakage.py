"""How honest a protocol is: what training, validation and test share."""

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from speechbrain_can.corpus.folds import count_folds, split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.corpus.sentences import group_near, is_long, sentence_of
from speechbrain_can.files import InputError

KINDS = (
    "speaker",
    "session",
    "dialog",
    "sentence",
    "near-duplicate sentence",
    "audio file",
)
COLUMNS = KINDS[:3]  # what the manifest may not say
# Of the first part's utterances, those that share something with the second
PAIRS = (("test", "train"), ("test", "valid"), ("valid", "train"))


class LeakageError(InputError):
    """Test sets share what ``strict`` says they must not."""


def find_leaks(utterances, folds, data_folder):
    """What the parts of each fold share.

    Arguments
    ---------
    utterances : dict of str: Utterance
        By ID.
    folds : dict of str: FoldAssignment
        By ID.
    data_folder : str or Path
        What ``$data_root`` stands for.

    Returns
    -------
    pandas.DataFrame
        A row for each fold, kind and pair of parts: ``fold, kind, part, other``;
        ``share``, of the part's utterances, has a speaker, ... that the other
        part has, too, as does ``example``; ``unknown`` is the number of
        utterances of which the corpus does not say it. A kind that it says of
        none, such as sessions, has no rows.

    Raises
    ------
    InputError
        If an audio file is gone.
    """
    used = {name: utterances[name] for name in folds}
    names = np.array(sorted(used))
    rows = []
    for kind, values in _values(used, data_folder).items():
        # a number for each value, -1 for None
        codes, known = pd.factorize(
            np.array([values[name] for name in names], dtype=object)
        )
        if not len(known):
            continue
        # a short sentence is known, and compared with none
        unknown = int((codes < 0).sum()) if kind in COLUMNS else 0
        for fold in range(count_folds(folds)):
            parts = {
                part: np.searchsorted(names, ids)
                for part, ids in split_fold(folds, fold).items()
            }
            for part, other in PAIRS:
                there = np.zeros(len(known) + 1, dtype=bool)
                there[codes[parts[other]]] = True
                there[-1] = False  # where -1 is
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


def _values(utterances, data_folder):
    """By kind and ID, what an utterance shares with others; None for nothing."""
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


def _contents(utterances, data_folder):
    """Of each audio file a digest, or its name where no other is as long."""
    paths = {
        name: Path(resolve_wav(utterance, data_folder))
        for name, utterance in utterances.items()
    }
    by_size = defaultdict(set)
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(
                f"{name}: its audio {path} is gone; put it back, or prepare the "
                "corpus again"
            )
        by_size[path.stat().st_size].add(path)
    digests = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        if len(alike) > 1
        else str(path)
        for alike in by_size.values()
        for path in alike
    }
    return {name: digests[path] for name, path in paths.items()}


def format_leaks(leaks, table_format="simple"):
    """Leaks as a table: a row a kind, the mean over folds and the worst fold."""
    shares = leaks.groupby(["kind", "part", "other"])["share"]
    mean, worst = shares.mean(), shares.max()

    def cell(*key):
        text = f"{mean[key]:.1%}"
        if f"{worst[key]:.1%}" != text:
            text += f" (to {worst[key]:.1%})"
        return text

    unknown = leaks.groupby("kind")["unknown"].max()
    kinds = [kind for kind in KINDS if kind in unknown]
    return tabulate(
        [
            [
                f"{kind} (of {unknown[kind]} unknown)"
                if unknown[kind]
                else kind,
                *(cell(kind, *pair) for pair in PAIRS),
            ]
            for kind in kinds
        ],
        headers=["utterances that share", *map(_heading, PAIRS)],
        tablefmt=table_format,
        stralign="left",
    )


def _heading(pair):
    part, other = (
        {"train": "training", "valid": "validation"}.get(name, name)
        for name in pair
    )
    return f"{part}, with {other}"


def named_kinds(strict):
    """The kinds that ``strict`` names; an ``InputError`` for what is none."""
    if strict is True:
        return list(KINDS)
    named = [strict] if isinstance(strict, str) else strict or []
    if not isinstance(named, list) or set(named) - set(KINDS):
        raise InputError(
            f"strict is {strict!r}; give True, False or some of "
            f"{', '.join(KINDS)}"
        )
    return named


def check_leaks(leaks, strict):
    """Refuses what test sets share with the other parts.

    Arguments
    ---------
    leaks : pandas.DataFrame
        What ``find_leaks`` returns.
    strict : bool or list of str
        Whether anything, or one of these ``KINDS``, is refused.

    Raises
    ------
    LeakageError
        With kind, fold and an example.
    InputError
        If there is no such kind.
    """
    known = [kind for kind in KINDS if kind in set(leaks["kind"])]
    refused = known if strict is True else named_kinds(strict)
    unsaid = sorted(set(refused) - set(known))
    if unsaid:
        raise InputError(
            f"strict names {unsaid[0]!r}, of which the corpus says nothing"
        )
    partly = leaks[leaks["kind"].isin(refused) & (leaks["unknown"] > 0)]
    if len(partly):
        row = partly.iloc[0]
        raise LeakageError(
            f"strict is set, and the {row['kind']} of {row['unknown']} utterances "
            "is unknown: fill it in, or name in strict what must not be shared"
        )
    found = leaks[
        (leaks["part"] == "test")
        & (leaks["share"] > 0)
        & leaks["kind"].isin(refused)
    ]
    if len(found):
        lines = [
            f"{row.kind}: {row.share:.1%} of the test set of fold {row.fold} is "
            f"shared with {row.other}, {row.example} for one"
            for row in found.drop_duplicates("kind").itertuples()
        ]
        raise LeakageError(
            "strict is set, and test sets share\n"
            + "\n".join(lines)
            + "\nChoose another protocol, or name in strict what must not be shared"
        )
