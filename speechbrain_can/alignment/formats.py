"""Readers for common alignment formats, selected by file extension.

``read_alignment`` reads Sphinx ``.wdseg``, EmoDB's ``.labsilb``, Praat TextGrid (MFA,
charsiu), CTM (Kaldi, NeMo), JSON of whisperX, Whisper, whisper-timestamped, gentle,
Vosk and MFA, ELAN, Audacity labels, SRT and WebVTT with one word per cue, and CSV.
Scores are kept if the file contains any.
"""

import csv
import io
import json
import math
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple, Optional

from speechbrain_can.alignment.readers import (
    check_order,
    read_wdseg,
    read_xlabel,
)
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.files import decode, parsing

# Alternative names of fields; the first one found is used
TEXT = ("word", "text")
SCORE = ("score", "confidence", "probability", "conf")
WORD_TIERS = ("words", "word", "ort", "mau")


class Entry(NamedTuple):
    """A word as read from a file, before validation.

    Arguments
    ---------
    place : str
        Position in the file for error messages, such as ``line 3``.
    text : str
        The word; empty for a pause.
    start, end : float or None
        Seconds; None if the file has no times for the word.
    score : float or None
        Confidence of the aligner or recognizer.
    """

    place: str
    text: str
    start: Optional[float]
    end: Optional[float]
    score: Optional[float] = None


def read_alignment(
    path: str | Path, utterance_id: str | None = None
) -> list[Word]:
    r"""Read words with timings from a file in any of the ``FORMATS``.

    Arguments
    ---------
    path : str or Path
        The file; its extension determines the format.
    utterance_id : str or None
        The utterance to read from a CTM file that contains several; None for
        the name of the file.

    Returns
    -------
    list of Word
        Sorted by start time, including special tokens.

    Raises
    ------
    AlignmentError
        If the format is unknown or the file is malformed; the message names the
        file and the line, cue or word.

    Example
    -------
    >>> path = getfixture("tmpdir") / "apple.csv"
    >>> _ = path.write("word,start,end\noh,0.1,0.4\nno,0.4,0.9\n")
    >>> read_alignment(path)
    [Word(text='oh', start=0.1, end=0.4), Word(text='no', start=0.4, end=0.9)]
    """
    path = Path(path)
    if not path.is_file():
        raise AlignmentError(f"{path}: alignment file not found")
    read = FORMATS.get(path.suffix.lower())
    if read is None:
        raise AlignmentError(
            f"{path}: unknown alignment format {path.suffix!r}. Supported "
            f"extensions: {', '.join(sorted(FORMATS))}."
        )
    kind = KINDS.get(path.suffix.lower(), "an alignment")
    with parsing(path, kind, AlignmentError):
        if read is _ctm:
            return _as_words(path, read(path, utterance_id or path.stem))
        return _as_words(path, read(path))


def _as_words(path: Path, entries: Iterable[Entry]) -> list[Word]:
    """Validate entries and convert them to words."""
    entries = _with_times(path, list(entries))
    if not entries:
        raise AlignmentError(f"{path}: the alignment is empty")
    words = []
    for entry in entries:
        if len(entry.text.split()) > 1:
            raise AlignmentError(
                f"{path}, {entry.place}: {entry.text!r} contains several words, "
                "but each word needs its own times. Align the transcript instead."
            )
        # An empty label marks a pause.
        text = entry.text.strip() or "<sil>"
        word = Word(text, entry.start, entry.end, entry.score)
        check_order(f"{path}, {entry.place}", words, word)
        words.append(word)
    return words


def _with_times(path: Path, entries: list[Entry]) -> list[Entry]:
    """Interpolate missing times: whisperX omits those of numbers, gentle of misses."""
    filled = list(entries)
    i = 0
    while i < len(filled):
        if filled[i].start is not None:
            i += 1
            continue
        j = i
        while j < len(filled) and filled[j].start is None:
            j += 1
        start = filled[i - 1].end if i else 0.0
        end = filled[j].start if j < len(filled) else start
        if end <= start:
            raise AlignmentError(
                f"{path}, {filled[i].place}: {filled[i].text!r} has no times, and "
                "there is no gap between its neighbors. Align the transcript "
                "instead."
            )
        step = (end - start) / (j - i)
        for k in range(i, j):
            filled[k] = filled[k]._replace(
                start=round(start + (k - i) * step, 6),
                end=round(start + (k - i + 1) * step, 6),
            )
        i = j
    return filled


def _number(path, place, value):
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AlignmentError(
            f"{path}, {place}: {str(value)[:99]!r} is not a number"
        )
    return number


def _lines(path):
    text = decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith(";;"):
            yield f"line {number}", line


def _ctm(path: Path, utterance_id: str) -> Iterator[Entry]:
    """Read ``utterance channel start duration word [score]``, in seconds."""
    rows = []
    for place, line in _lines(path):
        fields = line.split()
        if len(fields) not in (5, 6):
            raise AlignmentError(
                f"{path}, {place}: expected 'utterance channel start duration "
                f"word [score]', found {line.strip()!r}"
            )
        rows.append((place, fields))
    names = {fields[0] for _, fields in rows}
    if len(names) > 1 and utterance_id not in names:
        raise AlignmentError(
            f"{path}: none of its {len(names)} utterances is named "
            f"{utterance_id!r}"
        )
    for place, (name, _, start, duration, word, *score) in rows:
        if len(names) == 1 or name == utterance_id:
            start = _number(path, place, start)
            end = round(start + _number(path, place, duration), 6)
            value = _number(path, place, score[0]) if score else None
            yield Entry(place, word, start, end, value)


def _audacity(path: Path) -> Iterator[Entry]:
    """Read tab-separated ``start end label``, in seconds."""
    for place, line in _lines(path):
        fields = line.split("\t")
        if line.startswith("\\"):
            continue  # frequency range of the previous label
        if len(fields) not in (2, 3):
            raise AlignmentError(
                f"{path}, {place}: expected 'start<tab>end<tab>word', found "
                f"{line.strip()!r}"
            )
        start, end = (_number(path, place, field) for field in fields[:2])
        yield Entry(place, "".join(fields[2:]), start, end)


def _table(path: Path) -> Iterator[Entry]:
    """Read CSV (commas, semicolons or tabs) with the columns word, start and end."""
    text = "\n".join(line for _, line in _lines(path))
    separators = {mark: text.partition("\n")[0].count(mark) for mark in ",;\t"}
    separator = max(separators, key=separators.get)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    columns = {
        (name or "").strip().lower(): name for name in reader.fieldnames or ()
    }
    text_column = next((columns[key] for key in TEXT if key in columns), None)
    missing = [key for key in ("start", "end") if key not in columns]
    if text_column is None or missing:
        raise AlignmentError(
            f"{path}, line 1: expected the columns word, start and end, found "
            f"{', '.join(reader.fieldnames or ['none'])}"
        )
    score_column = next((columns[key] for key in SCORE if key in columns), None)
    for row in reader:
        place = f"line {reader.line_num}"
        score = row[score_column] if score_column else None
        yield Entry(
            place,
            row[text_column] or "",
            _number(path, place, row[columns["start"]]),
            _number(path, place, row[columns["end"]]),
            _number(path, place, score) if score else None,
        )


def _json(path: Path) -> Iterator[Entry]:
    """Read the list of words in the JSON output of common tools."""
    try:
        content = json.loads(decode(path.read_bytes()))
    except json.JSONDecodeError as error:
        raise AlignmentError(f"{path}, line {error.lineno}: {error.msg}")
    records = _find_records(content)
    if records is None:
        raise AlignmentError(
            f"{path}: found no words with times. Supported JSON formats: "
            "whisperX, Whisper (with word_timestamps), whisper-timestamped, "
            "gentle, Vosk and MFA."
        )
    for number, record in enumerate(records, start=1):
        place = f"word {number}"
        if isinstance(record, list):  # MFA's [start, end, label]
            record = dict(zip(("start", "end", "word"), record))
        text = next((record[key] for key in TEXT if key in record), None)
        if text is None:
            raise AlignmentError(
                f"{path}, {place}: the record has no text: {record}"
            )
        if "start" not in record or "end" not in record:
            yield Entry(place, text.strip(), None, None)
            continue
        score = next((record[key] for key in SCORE if key in record), None)
        yield Entry(
            place,
            text.strip(),
            _number(path, place, record["start"]),
            _number(path, place, record["end"]),
            None if score is None else _number(path, place, score),
        )


def _find_records(content):
    if isinstance(content, list):
        return content if all(isinstance(r, dict) for r in content) else None
    if not isinstance(content, dict):
        return None
    tiers = content.get("tiers", {})
    for name, tier in tiers.items():
        if _is_word_tier(name):
            return tier["entries"]
    for key in ("result", "words"):
        if isinstance(content.get(key), list):
            return content[key]
    segments = content.get("segments", [])
    if any("words" in segment for segment in segments):
        return [w for segment in segments for w in segment.get("words", [])]
    return None


def _is_word_tier(name):
    # MFA prefixes the speaker: "anna - words"
    return name.lower().rpartition(" - ")[2].strip() in WORD_TIERS


def _textgrid(path: Path) -> Iterator[Entry]:
    """Read the word tier of a TextGrid in long or short format."""
    textgrid = _library("praatio.textgrid", path)
    grid = textgrid.openTextgrid(
        str(path),
        includeEmptyIntervals=True,
        reportingMode="silence",
        duplicateNamesMode="rename",
    )
    tiers = [t for t in grid.tiers if isinstance(t, textgrid.IntervalTier)]
    chosen = [tier for tier in tiers if _is_word_tier(tier.name)]
    if len(chosen or tiers) != 1:
        raise AlignmentError(
            f"{path}: expected one word tier, found {len(chosen)}. Tiers: "
            f"{', '.join(grid.tierNames) or 'none'}."
        )
    for number, entry in enumerate((chosen or tiers)[0].entries, start=1):
        yield Entry(f"interval {number}", entry.label, entry.start, entry.end)


def _elan(path: Path) -> Iterator[Entry]:
    """Read the word tier of an ELAN file."""
    pympi = _library("pympi", path)
    file = pympi.Elan.Eaf(str(path))
    names = list(file.get_tier_names())
    chosen = [name for name in names if _is_word_tier(name)] or names
    if len(chosen) != 1:
        raise AlignmentError(
            f"{path}: expected one word tier, found {len(chosen)}. Tiers: "
            f"{', '.join(names) or 'none'}."
        )
    rows = sorted(file.get_annotation_data_for_tier(chosen[0]))
    for number, (start, end, text, *_) in enumerate(rows, start=1):
        yield Entry(f"annotation {number}", text, start / 1000, end / 1000)


def _cues(path: Path) -> Iterator[Entry]:
    """Read SubRip or WebVTT with one word per cue."""
    webvtt = _library("webvtt", path)
    text = io.StringIO(decode(path.read_bytes()))
    cues = webvtt.WebVTT.from_buffer(text, format=path.suffix.lower()[1:])
    for number, cue in enumerate(cues, start=1):
        start, end = (
            3600 * time.hours
            + 60 * time.minutes
            + time.seconds
            + time.milliseconds / 1000
            for time in (cue.start_time, cue.end_time)
        )
        yield Entry(f"cue {number}", cue.text, start, end)


def _library(name, path):
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise AlignmentError(
            f"{path}: reading {path.suffix} files needs an extra package. Run pip "
            "install 'speechbrain_can[readers]'."
        ) from error


def _wdseg(path: Path) -> Iterator[Entry]:
    """Read an alignment of IEMOCAP; see ``read_wdseg``."""
    for number, word in enumerate(read_wdseg(path), start=1):
        yield Entry(f"word {number}", word.text, word.start, word.end)


def _xlabel(path: Path) -> Iterator[Entry]:
    """Read labels of EmoDB; see ``read_xlabel``."""
    for number, word in enumerate(read_xlabel(path), start=1):
        yield Entry(f"label {number}", word.text, word.start, word.end)


# Functions from a path to entries, by lower-case file extension
FORMATS = {
    ".wdseg": _wdseg,
    ".labsilb": _xlabel,
    ".textgrid": _textgrid,
    ".ctm": _ctm,
    ".json": _json,
    ".eaf": _elan,
    ".txt": _audacity,
    ".srt": _cues,
    ".vtt": _cues,
    ".csv": _table,
    ".tsv": _table,
}
# Names of formats for messages about files that cannot be parsed
KINDS = {
    ".textgrid": "a TextGrid",
    ".json": "JSON of words",
    ".eaf": "an ELAN file",
    ".srt": "SubRip",
    ".vtt": "WebVTT",
}
