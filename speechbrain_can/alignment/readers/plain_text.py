"""Readers of CTM, Audacity labels and CSV."""

import csv
import io
from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import (
    SCORE,
    TEXT,
    Entry,
    content_lines,
    parse_number,
)
from speechbrain_can.alignment.words import AlignmentError


def ctm_entries(path: Path, utterance_id: str) -> Iterator[Entry]:
    """Read ``utterance channel start duration word [score]``, in seconds."""
    rows = []
    for place, line in content_lines(path):
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
            start = parse_number(path, place, start)
            end = round(start + parse_number(path, place, duration), 6)
            value = parse_number(path, place, score[0]) if score else None
            yield Entry(place, word, start, end, value)


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


def table_entries(path: Path) -> Iterator[Entry]:
    """Read CSV (commas, semicolons or tabs) with the columns word, start and end."""
    text = "\n".join(line for _, line in content_lines(path))
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
            parse_number(path, place, row[columns["start"]]),
            parse_number(path, place, row[columns["end"]]),
            parse_number(path, place, score) if score else None,
        )
