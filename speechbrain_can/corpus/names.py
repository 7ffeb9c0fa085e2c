"""Names in a corpus: emotions, speakers and other groups that look alike.

Spreadsheets and operating systems store the same name in different ways: composed or
decomposed letters, invisible characters, other spaces, upper or lower case. Two
spellings of one speaker would hide leakage, and two of one emotion would be two classes.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import lru_cache
from typing import Sequence

from speechbrain_can.alignment.tokens import visible
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording

COLUMNS = ("emotion", "speaker", "session", "dialog")
# Values that pandas and spreadsheets write for an empty cell
MISSING = {"nan", "n/a", "#n/a", "<na>", "null", "none"}
RESERVED = {"ID", "true", "predicted"}  # columns of predictions.csv


def unify_names(
    recordings: Sequence[LabeledRecording],
) -> tuple[list[LabeledRecording], list[tuple[str, str]]]:
    """Replace the spellings of a name that look alike by the most frequent one.

    Arguments
    ---------
    recordings : list of LabeledRecording
        The recordings of a corpus.

    Returns
    -------
    recordings : list of LabeledRecording
        With unified emotions, speakers, sessions, dialogs and extra columns.
    adjusted : list of (str, str)
        ID and description for each recording with a changed name.

    Raises
    ------
    CorpusError
        If an emotion has a reserved name.

    Example
    -------
    >>> names = (
    ...     "M\\u00fcller",
    ...     "M\\u00fcller",
    ...     "Mu\\u0308ller",
    ...     "m\\u00fcller ",
    ... )
    >>> recordings, adjusted = unify_names(
    ...     [
    ...         LabeledRecording(str(i), "a.wav", "ang", n)
    ...         for i, n in enumerate(names)
    ...     ]
    ... )
    >>> {r.speaker for r in recordings}, [name for name, _ in adjusted]
    ({'Müller'}, ['2', '3'])
    """
    spellings = _most_frequent(recordings)
    unified, adjusted = [], []
    for recording in recordings:
        changes = {
            column: spellings[column, _key(name)]
            for column, name in _names_of(recording).items()
            if name != spellings[column, _key(name)]
        }
        if changes:
            before = _names_of(recording)
            listed = ", ".join(
                f"{column} {ascii(before[column])} is now {ascii(name)}"
                for column, name in changes.items()
            )
            adjusted.append((recording.utterance_id, f"name unified: {listed}"))
            extra = {k: changes.get(k, v) for k, v in recording.extra.items()}
            own = {c: name for c, name in changes.items() if c in COLUMNS}
            recording = replace(recording, **own, extra=extra)
        if recording.votes:
            votes = _unify_votes(recording.votes, spellings)
            recording = replace(recording, votes=votes)
        if recording.emotion in RESERVED:
            raise CorpusError(
                f"{recording.utterance_id}: an emotion must not be named "
                f"{recording.emotion!r}, which is a column of predictions.csv. "
                "Rename it."
            )
        unified.append(recording)
    return unified, adjusted


def is_missing(name: str) -> bool:
    """Return whether a cell is empty or denotes a missing value, such as ``nan``."""
    name = visible(name).strip()
    return name in ("", "NA") or name.lower() in MISSING


def _unify_votes(votes: str, spellings: dict) -> str:
    """Return votes, such as ``Ang:2 hap:1``, with the spellings of the emotions."""
    pairs = (vote.rpartition(":") for vote in votes.split())
    return " ".join(
        f"{spellings.get(('emotion', _key(name)), name)}{colon}{count}"
        for name, colon, count in pairs
    )


def _names_of(recording: LabeledRecording) -> dict[str, str]:
    """Return the names of a recording by column."""
    own = {column: getattr(recording, column) for column in COLUMNS}
    return {**recording.extra, **own}


@lru_cache(maxsize=2**16)
def _key(name: str) -> str:
    """Return what names that look alike have in common."""
    return _plain(name).casefold()


@lru_cache(maxsize=2**16)
def _plain(name: str) -> str:
    return " ".join(visible(name).split())


def _most_frequent(recordings) -> dict[tuple[str, str], str]:
    """Return the most frequent visible spelling by column and key."""
    counts = defaultdict(Counter)
    for recording in recordings:
        for column, name in _names_of(recording).items():
            counts[column, _key(name)][_plain(name)] += 1
    return {
        key: min(spellings, key=lambda s: (-spellings[s], s))
        for key, spellings in counts.items()
    }
