"""Readers of CTM, Audacity labels and CSV."""

import csv
import io
from collections import defaultdict
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Iterator

from speechbrain_can.alignment.readers.entries import (
    SCORE,
    Entry,
    content_lines,
    parse_number,
    parse_score,
    parse_time,
)
from speechbrain_can.alignment.readers.tiers import choose_tier
from speechbrain_can.alignment.words import AlignmentError

# Column names in lower case, with spaces instead of underscores
WORD_COLUMNS = ("word", "text", "label", "token")
STARTS = ("start", "begin", "onset", "start time", "tmin", "xmin")
ENDS = ("end", "stop", "offset", "end time", "tmax", "xmax")


def ctm_entries(path: Path, utterance_id: str) -> Iterator[Entry]:
    """Read ``utterance channel start duration word [score [type [speaker]]]``.

    Times are in seconds. In the file of a whole corpus, the utterance is found by its
    name, which may have a folder or an extension.
    """
    stat = path.stat()
    utterances, stems = _read_ctm(path, stat.st_size, stat.st_mtime_ns)
    names = [utterance_id] * (utterance_id in utterances) or stems.get(
        utterance_id, []
    )
    if len(utterances) == 1:
        names = list(utterances)
    if len(names) != 1 and utterances:
        raise AlignmentError(
            f"{path}: {len(names) or 'none'} of its {len(utterances)} utterances "
            f"{'are' if names else 'is'} named {utterance_id!r}"
        )
    rows = utterances[names[0]] if names else []
    channels = sorted({channel for _, channel, *_ in rows})
    if len(channels) > 1:
        raise AlignmentError(
            f"{path}: {utterance_id!r} has words of {len(channels)} channels "
            f"({', '.join(channels)}). Write one file per channel."
        )
    for place, _, start, duration, word, *score in rows:
        start = parse_number(path, place, start)
        end = round(start + parse_number(path, place, duration), 6)
        value = parse_score(path, place, score[0]) if score else None
        yield Entry(place, word, start, end, value)


@lru_cache(maxsize=2)  # the file of a corpus is read once
def _read_ctm(path: Path, size: int, modified: int) -> tuple[dict, dict]:
    """Return the fields of the lines of each utterance, and the names by stem."""
    utterances, stems = defaultdict(list), defaultdict(list)
    for place, line in content_lines(path):
        name, *fields = line.split()
        if not 4 <= len(fields) <= 7:
            raise AlignmentError(
                f"{path}, {place}: expected 'utterance channel start duration "
                f"word [score [type [speaker]]]', found {line.strip()!r}"
            )
        if name not in utterances:
            stem = PurePosixPath(name)
            known = stem.suffix.lower() in (".wav", ".flac", ".mp3", ".sph")
            stems[stem.stem if known else stem.name].append(name)
        utterances[name].append((place, *fields[:5]))
    return dict(utterances), dict(stems)


def audacity_entries(path: Path) -> Iterator[Entry]:
    """Read tab-separated ``start end label``, in seconds."""
    for place, line in content_lines(path):
        fields = line.split("\t")
        if line.startswith("\\"):
            continue  # frequency range of the previous label
        if len(fields) not in (2, 3):
            raise AlignmentError(
                f"{path}, {place}: expected 'start<tab>end<tab>word', found "
                f"{line.strip()!r}"
            )
        start, end = (parse_number(path, place, field) for field in fields[:2])
        yield Entry(place, "".join(fields[2:]), start, end)


def table_entries(path: Path, tier: str | None = None) -> Iterator[Entry]:
    """Read CSV (commas, semicolons or tabs) with the columns word, start and end.

    In files with a column ``type`` or ``tier`` (MFA, Praat), rows of the word tier are
    read.
    """
    text = "\n".join(
        line
        for _, line in content_lines(path)
        if not line.lower().startswith("sep=")  # Excel
    )
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    columns = {
        " ".join((name or "").lower().replace("_", " ").split()): name
        for name in reader.fieldnames or ()
    }

    def find(names):
        return next((columns[key] for key in names if key in columns), None)

    if len(columns) < len(reader.fieldnames or ()):
        raise AlignmentError(f"{path}, line 1: two columns have the same name")
    word, start, end = map(find, (WORD_COLUMNS, STARTS, ENDS))
    if None in (word, start, end):
        raise AlignmentError(
            f"{path}, line 1: expected the columns word, start and end, found "
            f"{', '.join(reader.fieldnames or ['none'])}"
        )
    score, unit = find(SCORE), find(("tier", "type"))
    rows = [(f"line {reader.line_num}", row) for row in reader]
    for place, row in rows:
        if None in row or None in row.values():
            raise AlignmentError(
                f"{path}, {place}: expected {len(reader.fieldnames)} cells, found "
                f"{sum(cell is not None for cell in row.values())}. Quote cells "
                "that contain the separator."
            )
    units = dict.fromkeys(row[unit] for _, row in rows) if unit else {}
    if tier is not None or len(units) > 1 or "tier" in columns:
        chosen = choose_tier(path, units, tier)
        rows = [(place, row) for place, row in rows if row[unit] == chosen]
    speaker = find(("speaker",))
    speakers = dict.fromkeys(row[speaker] for _, row in rows) if speaker else {}
    if len(speakers) > 1:
        raise AlignmentError(
            f"{path}: the file has words of {len(speakers)} speakers "
            f"({', '.join(speakers)}). Write one file per speaker."
        )
    for place, row in rows:
        yield Entry(
            place,
            row[word],
            parse_time(path, place, row[start]),
            parse_time(path, place, row[end]),
            parse_score(path, place, row[score]) if score else None,
        )
