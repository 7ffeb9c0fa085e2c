"""The manifest: one CSV a corpus, one row an utterance, with word timings.

``manifests/README.md`` has the format in full. A prepared corpus is a folder:
``manifest.csv``, ``skipped.csv`` (what was left out and why), ``corpus.json``
(its name, classes and the settings it was prepared with) and one
``folds_<protocol>.csv``."""

import csv
import math
import sys
from dataclasses import dataclass, field
from typing import Dict, List

from speechbrain_can.alignment.words import (
    AlignmentError,
    Word,
    Words,
    texts_of,
)
from speechbrain_can.corpus.tables import LONGEST_FIELD
from speechbrain_can.files import InputError, as_text, atomic_write, parsing

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
# Columns that a manifest may lack
OPTIONAL = ("transcription", "aligned_by", "votes")


LONGEST_WORD = 1000  # characters
# Columns that utterances can be grouped by, beside those of one's own
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
# One for all: most manifests have no column of their own.
NO_EXTRA = {}


class ManifestError(InputError):
    """A manifest that cannot be used; the message names file and line."""


@dataclass(frozen=True)
class Utterance:
    """One row of a manifest.

    Arguments
    ---------
    utterance_id : str
        Unique in its corpus.
    duration : float
        Length of the audio in seconds.
    wav : str
        Audio file; ``$data_root`` stands for the corpus folder.
    speaker, session, dialog : str
        Where the utterance comes from; empty where a corpus has no such thing.
    scripted : bool
        Whether the text was given to the speaker.
    emotion : str
        The label.
    words : list of Word
        Cleaned words that tile the utterance.
    transcription : str
        The text as the corpus writes it, kept for reference.
    aligned_by : str
        Where the times come from, where this is not the same for all.
    votes : str
        What raters said, such as ``fru:2 ang:1``; empty where it is not known.
    extra : dict of str: str
        Columns that this corpus alone has, such as ``fold`` or ``room``.
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


def column_value(utterance, column):
    """What an utterance has in a column of the manifest, as text.

    Raises ``ManifestError`` if its manifest has no such column.
    """
    if column in utterance.extra:
        return utterance.extra[column]
    if column not in GROUPING:
        known = ", ".join([*GROUPING, *sorted(utterance.extra)])
        raise ManifestError(
            f"{utterance.utterance_id} has no column {column!r}; choose one of "
            f"{known}"
        )
    if column == "words":
        return " ".join(texts_of(utterance.words))
    if column == "scripted":
        return str(int(utterance.scripted))
    return getattr(utterance, column)


def read_votes(utterance):
    """Votes by emotion; one for its label where no rater is known.

    Raises ``ManifestError`` for what is no number, or none above 0.
    """
    try:
        votes = {
            emotion: float(count)
            for emotion, _, count in (
                vote.rpartition(":") for vote in utterance.votes.split()
            )
        }
    except ValueError:
        votes = {"": 0.0}
    if votes and not (min(votes.values()) >= 0 and sum(votes.values()) > 0):
        raise ManifestError(
            f"{utterance.utterance_id} has the votes {utterance.votes!r}; write "
            "them as fru:2 ang:1"
        )
    return votes or {utterance.emotion: 1.0}


def check_words(words):
    """Refuses, with an ``AlignmentError``, words that a manifest cannot hold."""
    for text in texts_of(words):
        if len(text.split()) != 1 or not text.isprintable():
            raise AlignmentError(
                f"the word {text!r} is white space, or has some in it, or what "
                "cannot be printed"
            )
        if len(text) > LONGEST_WORD:
            raise AlignmentError(
                f"the word {text[:20]!r}... has {len(text)} characters"
            )


def check_texts(utterance: Utterance) -> None:
    """Raise an ``AlignmentError`` for a NUL character in any text.

    The csv module of Python 3.10 can neither write nor read one.
    """
    texts = {**vars(utterance), **utterance.extra}
    for name, text in texts.items():
        if isinstance(text, str) and "\0" in text:
            raise AlignmentError(f"the {name} contains a NUL character")


def check_utterances(utterances):
    """Refuses, with a ``ManifestError``, IDs that are not unique."""
    seen = set()
    for utterance in utterances:
        if utterance.utterance_id in seen:
            raise ManifestError(f"duplicate ID {utterance.utterance_id!r}")
        seen.add(utterance.utterance_id)


def write_manifest(path, utterances):
    """Writes utterances as a manifest, sorted by ID.

    There is a column of votes only where there are votes. Columns of the
    corpus's own come last, in the order of the alphabet.
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


def read_manifest(path):
    """Reads a manifest: utterances by ID, in the order of the file.

    Raises ``ManifestError`` with file and line for a missing column, an ID that
    stands twice, unequal counts of words and times, and words that do not tile
    the utterance.

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
    # as a spreadsheet saves it, too
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
                f"{path}, line 1: missing column(s) {', '.join(missing)}"
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
        raise ManifestError(f"{path}: the manifest has no utterance")
    return utterances


def _parse_row(place, row):
    if None in row or None in row.values():
        raise ManifestError(f"{place}: the row has another number of fields")
    texts = row["words"].split()
    try:
        duration = float(row["duration"])
        starts = [float(start) for start in row["starts"].split()]
        ends = [float(end) for end in row["ends"].split()]
    except ValueError as error:
        raise ManifestError(f"{place} ({row['ID']}): {error}")
    if not math.isfinite(duration):
        raise ManifestError(
            f"{place} ({row['ID']}): the duration is {row['duration']}"
        )
    if not len(texts) == len(starts) == len(ends):
        raise ManifestError(
            f"{place} ({row['ID']}): {len(texts)} words, {len(starts)} starts "
            f"and {len(ends)} ends; the counts must be equal"
        )
    if not texts:
        raise ManifestError(f"{place} ({row['ID']}): no words")
    words = [Word(*word) for word in zip(texts, starts, ends)]
    previous = 0.0
    for word in words:
        if word.start != previous or not word.start < word.end:
            raise ManifestError(
                f"{place} ({row['ID']}): {word.text!r} covers {word.start:g} s "
                f"to {word.end:g} s, where the word before ends at "
                f"{previous:g} s; words tile the utterance from 0 on"
            )
        previous = word.end
    if previous > duration + 1e-6:
        raise ManifestError(
            f"{place} ({row['ID']}): {words[-1].text!r} ends at {previous:g} s, "
            f"the audio at {duration:g} s"
        )
    if row["scripted"] not in ("0", "1"):
        raise ManifestError(
            f"{place} ({row['ID']}): scripted is {row['scripted']!r}, "
            "not 0 or 1"
        )
    return Utterance(
        utterance_id=row["ID"],
        duration=duration,
        wav=row["wav"],
        # many rows share these: one object for all
        speaker=sys.intern(row["speaker"]),
        session=sys.intern(row["session"]),
        dialog=sys.intern(row["dialog"]),
        scripted=row["scripted"] == "1",
        emotion=sys.intern(row["emotion"]),
        words=Words(words),
        **{name: row.get(name) or "" for name in OPTIONAL},
        extra={k: v for k, v in row.items() if k not in COLUMNS} or NO_EXTRA,
    )


def resolve_wav(utterance, data_folder):
    """Path of an utterance's audio."""
    return utterance.wav.replace(DATA_ROOT, str(data_folder))


def write_reasons(path, reasons):
    """What a preparation left out or adjusted: ID and reason, sorted by ID."""
    with atomic_write(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(["ID", "reason"])
        writer.writerows(map(as_text, row) for row in sorted(reasons))
