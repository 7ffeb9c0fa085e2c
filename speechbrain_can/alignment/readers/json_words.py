"""Reader of the JSON output of speech recognizers and aligners."""

import json
from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import (
    SCORE,
    TEXT,
    Entry,
    parse_number,
)
from speechbrain_can.alignment.readers.tiers import is_word_tier
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.io.files import decode


def json_entries(path: Path) -> Iterator[Entry]:
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
            parse_number(path, place, record["start"]),
            parse_number(path, place, record["end"]),
            None if score is None else parse_number(path, place, score),
        )


def _find_records(content):
    if isinstance(content, list):
        return content if all(isinstance(r, dict) for r in content) else None
    if not isinstance(content, dict):
        return None
    tiers = content.get("tiers", {})
    for name, tier in tiers.items():
        if is_word_tier(name):
            return tier["entries"]
    for key in ("result", "words"):
        if isinstance(content.get(key), list):
            return content[key]
    segments = content.get("segments", [])
    if any("words" in segment for segment in segments):
        return [w for segment in segments for w in segment.get("words", [])]
    return None
