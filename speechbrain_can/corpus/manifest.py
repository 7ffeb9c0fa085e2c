"""Manifests: one CSV file per corpus, one row per utterance, with word timings.

``manifests/README.md`` specifies the format. A prepared corpus is a folder with
``manifest.csv``, ``skipped.csv`` (skipped utterances with reasons),
``corpus.json`` (name, classes and preparation settings) and one
``folds_<protocol>.csv`` per protocol.
"""

import csv
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Sequence

from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    Words,
    texts_of,
)
from speechbrain_can.io.files import InputError, as_text, atomic_write, parsing
from speechbrain_can.io.tables import LONGEST_FIELD

COLUMNS = (
    "ID",
    "duration",
    "wav",
    "speaker",
    "session",
    "dialog",
    "scripted",
    "emotion",
    "words",
    "starts",
    "ends",
    "transcription",
    "aligned_by",
    "votes",
)
# Optional columns of a manifest
OPTIONAL = ("transcription", "aligned_by", "votes")
LONGEST_WORD = 1000  # characters
# Columns that utterances can be grouped by, in addition to extra columns
GROUPING = (
    "speaker",
    "session",
    "dialog",
    "scripted",
    "words",
    "transcription",
    "aligned_by",
)

DATA_ROOT = "$data_root"
# Shared by all utterances: most manifests have no extra columns.
NO_EXTRA = {}


class ManifestError(InputError):
    """Raised for unusable manifests; the message names file and line."""


@dataclass(frozen=True)
class Utterance:
    """One row of a manifest.

    Arguments
    ---------
    utterance_id : str
        Unique in the corpus.
    duration : float
        Length of the audio in seconds.
    wav : str
        Audio file; ``$data_root`` stands for the folder of the corpus.
    speaker, session, dialog : str
        Origin of the utterance; empty if the corpus does not specify it.
    scripted : bool
        Whether the speaker was given the text.
    emotion : str
        The label.
    words : list of Word
        Cleaned words that tile the utterance.
    transcription : str
        The text as the corpus contains it, for reference.
    aligned_by : str
        Source of the word timings, if it varies within the corpus.
    votes : str
        Votes of raters, such as ``fru:2 ang:1``; empty if unknown.
    extra : dict of str: str
        Additional columns of the corpus, such as ``fold`` or ``room``.
    """

    utterance_id: str
    duration: float
    wav: str
    speaker: str
    session: str
    dialog: str
    scripted: bool
    emotion: str
    words: List[Word]
    transcription: str = ""
    aligned_by: str = ""
    votes: str = ""
    extra: Dict[str, str] = field(default_factory=dict)


def column_value(utterance: Utterance, column: str) -> str:
    """Return the value of a column of the manifest as text.

    Raises ``ManifestError`` if the manifest has no such column.
    """
    if column in utterance.extra:
        return utterance.extra[column]
    if column not in GROUPING:
        known = ", ".join([*GROUPING, *sorted(utterance.extra)])
        raise ManifestError(
            f"{utterance.utterance_id} has no column {column!r}. Choose one of "
            f"{known}."
        )
    if column == "words":
        return " ".join(texts_of(utterance.words))
    if column == "scripted":
        return str(int(utterance.scripted))
    return getattr(utterance, column)


def read_votes(utterance: Utterance) -> dict[str, float]:
    """Return votes by emotion; one vote for the label if no rater is known.

    Votes for the same emotion are added. Raises ``ManifestError`` for invalid votes
    or a sum of 0.
    """
    votes = Counter()
    try:
        for vote in utterance.votes.split():
            emotion, _, count = vote.rpartition(":")
            if not 0 <= float(count) < math.inf:
                raise ValueError(count)
            votes[emotion] += float(count)
        if votes and not 0 < sum(votes.values()) < math.inf:
            raise ValueError("sum")
    except ValueError:
        raise ManifestError(
            f"{utterance.utterance_id}: invalid votes {utterance.votes!r}. Write "
            "them as fru:2 ang:1."
        )
    return dict(votes) or {utterance.emotion: 1.0}


def check_words(words: Sequence[Word]) -> None:
    """Raise an ``AlignmentError`` for words that a manifest cannot represent."""
    for text in texts_of(words):
        if len(text.split()) != 1 or not text.isprintable():
            raise AlignmentError(
                f"the word {text!r} is empty or contains whitespace or unprintable "
                "characters"
            )
        if len(text) > LONGEST_WORD:
            raise AlignmentError(
                f"the word {text[:20]!r}... has {len(text)} characters; the limit "
                f"is {LONGEST_WORD}"
            )


def check_texts(utterance: Utterance) -> None:
    """Raise an ``AlignmentError`` for a NUL character in any text.

    The csv module of Python 3.10 can neither write nor read one.
    """
    texts = {**vars(utterance), **utterance.extra}
    for name, text in texts.items():
        if isinstance(text, str) and "\0" in text:
            raise AlignmentError(f"the {name} contains a NUL character")


def check_utterances(utterances: Iterable[Utterance]) -> None:
    """Raise a ``ManifestError`` for duplicate IDs."""
    seen = set()
    for utterance in utterances:
        if utterance.utterance_id in seen:
            raise ManifestError(f"duplicate ID {utterance.utterance_id!r}")
        seen.add(utterance.utterance_id)


def write_manifest(path: str | Path, utterances: list[Utterance]) -> None:
    """Write utterances as a manifest, sorted by ID.

    The column ``votes`` is omitted if it is empty. Extra columns come last, in
    alphabetical order.
    """
    voted = any(utterance.votes for utterance in utterances)
    own = sorted({name for utterance in utterances for name in utterance.extra})
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow([*(COLUMNS if voted else COLUMNS[:-1]), *own])
        for utterance in sorted(utterances, key=lambda u: u.utterance_id):
            writer.writerow(
                [
                    utterance.utterance_id,
                    f"{utterance.duration:.6f}",
                    utterance.wav,
                    utterance.speaker,
                    utterance.session,
                    utterance.dialog,
                    int(utterance.scripted),
                    utterance.emotion,
                    " ".join(texts_of(utterance.words)),
                    " ".join(f"{word.start:.6f}" for word in utterance.words),
                    " ".join(f"{word.end:.6f}" for word in utterance.words),
                    utterance.transcription,
                    utterance.aligned_by,
                    *([utterance.votes] if voted else []),
                    *(utterance.extra.get(name, "") for name in own),
                ]
            )


def read_manifest(path: str | Path) -> dict[str, Utterance]:
    """Read a manifest as utterances by ID, in the order of the file.

    Raises ``ManifestError`` with file and line for missing columns, duplicate IDs,
    different numbers of words and times, and words that do not tile the
    utterance.

    Example
    -------
    >>> path = getfixture("tmpdir") / "manifest.csv"
    >>> words = [Word("so", 0.0, 0.5), Word("what", 0.5, 1.0)]
    >>> row = Utterance("a", 1.0, "a.wav", "F1", "1", "d", False, "ang", words)
    >>> write_manifest(path, [row])
    >>> read_manifest(path)["a"].words[1]
    Word(text='what', start=0.5, end=1.0)
    """
    utterances = {}
    csv.field_size_limit(LONGEST_FIELD)
    # Spreadsheets add a byte order mark.
    with parsing(path, "a manifest", ManifestError), open(
        path, newline="", encoding="utf-8-sig"
    ) as stream:
        reader = csv.DictReader(stream)
        missing = [
            name
            for name in COLUMNS
            if name not in OPTIONAL and name not in (reader.fieldnames or ())
        ]
        if missing:
            raise ManifestError(
                f"{path}, line 1: missing columns: {', '.join(missing)}"
            )
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            utterance = _parse_row(place, row)
            if utterance.utterance_id in utterances:
                raise ManifestError(
                    f"{place}: duplicate ID {utterance.utterance_id!r}"
                )
            utterances[utterance.utterance_id] = utterance
    if not utterances:
        raise ManifestError(f"{path}: the manifest contains no utterances")
    return utterances


def _parse_row(place: str, row: dict[str, str]) -> Utterance:
    """Convert a row to an utterance."""
    if None in row or None in row.values():
        raise ManifestError(
            f"{place}: the row and the header have different numbers of cells. "
            "Quote cells that contain a comma."
        )
    texts = row["words"].split()
    try:
        duration = float(row["duration"])
        starts = [float(start) for start in row["starts"].split()]
        ends = [float(end) for end in row["ends"].split()]
    except ValueError as error:
        raise ManifestError(f"{place} ({row['ID']}): {error}")
    if not math.isfinite(duration):
        raise ManifestError(
            f"{place} ({row['ID']}): invalid duration {row['duration']}"
        )
    if not len(texts) == len(starts) == len(ends):
        raise ManifestError(
            f"{place} ({row['ID']}): found {len(texts)} words, {len(starts)} "
            f"starts and {len(ends)} ends; the numbers must be equal"
        )
    if not texts:
        raise ManifestError(
            f"{place} ({row['ID']}): the utterance has no words"
        )
    words = [Word(*word) for word in zip(texts, starts, ends)]
    previous = 0.0
    for word in words:
        if word.start != previous or not word.start < word.end:
            raise ManifestError(
                f"{place} ({row['ID']}): {word.text!r} covers {word.start:g} s "
                f"to {word.end:g} s, but the previous word ends at "
                f"{previous:g} s. Words must tile the utterance, starting at 0."
            )
        previous = word.end
    if previous > duration + 1e-6:
        raise ManifestError(
            f"{place} ({row['ID']}): word {words[-1].text!r} ends at "
            f"{previous:g} s but the audio is {duration:g} s long"
        )
    if row["scripted"] not in ("0", "1"):
        raise ManifestError(
            f"{place} ({row['ID']}): scripted must be 0 or 1, found "
            f"{row['scripted']!r}"
        )
    return Utterance(
        utterance_id=row["ID"],
        duration=duration,
        wav=row["wav"],
        # Many rows have the same values; share the strings.
        speaker=sys.intern(row["speaker"]),
        session=sys.intern(row["session"]),
        dialog=sys.intern(row["dialog"]),
        scripted=row["scripted"] == "1",
        emotion=sys.intern(row["emotion"]),
        words=Words(words),
        **{name: row.get(name) or "" for name in OPTIONAL},
        extra={k: v for k, v in row.items() if k not in COLUMNS} or NO_EXTRA,
    )


def resolve_wav(utterance: Utterance, data_folder: str | Path) -> str:
    """Return the path of an utterance's audio."""
    return utterance.wav.replace(DATA_ROOT, str(data_folder))


def write_reasons(path: str | Path, reasons: Iterable[tuple[str, str]]) -> None:
    """Write IDs with the reasons why utterances were skipped or adjusted."""
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(["ID", "reason"])
        writer.writerows(map(as_text, row) for row in sorted(reasons))
