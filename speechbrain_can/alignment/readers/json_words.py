"""Reader of the JSON output of speech recognizers and aligners.

Tools nest their words differently, but a word is always a record with a text and
times. The reader therefore searches the known containers for the first list of such
records.
"""

import html
import json
import re
from pathlib import Path
from typing import Any, Iterator

from speechbrain_can.alignment.readers.entries import (
    SCORE,
    Entry,
    parse_score,
    parse_time,
)
from speechbrain_can.alignment.readers.tiers import choose_tier
from speechbrain_can.alignment.words import AlignmentError

# Keys are compared in lower case without underscores. Of several containers in one
# mapping, the first one in this list is read.
CONTAINERS = (
    "words",
    "result",
    "results",
    "chunks",
    "segments",
    "wordsegments",
    "transcription",
    "channels",
    "response",
    "items",
    "monologues",
    "elements",
    "tokens",
)
TEXTS = ("word", "text", "label", "token", "content", "value", "transcript")
STARTS = ("start", "starttime", "startoffset", "begin", "ts", "from")
ENDS = ("end", "endtime", "endoffset", "endts", "to")
# AssemblyAI and others write integers in milliseconds. Words of 20 s on average do
# not exist, and words of 20 ms do not either.
LONGEST_MEAN = 20
_SPECIAL = re.compile(r"\[_\w+_?\]")  # tokens of whisper.cpp


def json_entries(path: Path, tier: str | None = None) -> Iterator[Entry]:
    """Read the words in the JSON output of common tools."""
    records = list(_find_records(path, _documents(path), tier))
    if not records:
        raise AlignmentError(
            f"{path}: found no words. Supported JSON formats: Whisper (with word "
            "timestamps), whisperX, whisper.cpp, faster-whisper, "
            "whisper-timestamped, transformers, Vosk, gentle, MFA, AssemblyAI, "
            "Google, AWS and Deepgram."
        )
    entries = [
        _as_entry(path, f"word {number}", record)
        for number, record in enumerate(records, start=1)
    ]
    scale = 1000 if _in_milliseconds(records) else 1
    for entry in entries:
        yield entry._replace(
            start=None if entry.start is None else entry.start / scale,
            end=None if entry.end is None else entry.end / scale,
        )


def _documents(path: Path) -> Any:
    """Return the content of a file; several documents (Vosk) become a list."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    else:
        # whisper.cpp divides letters among tokens, which joining repairs.
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    text = text.strip()
    decoder, documents, position = json.JSONDecoder(), [], 0
    try:
        while position < len(text):
            document, position = decoder.raw_decode(text, position)
            documents.append(document)
            while position < len(text) and text[position] in " \t\r\n,":
                position += 1
    except json.JSONDecodeError as error:
        raise AlignmentError(f"{path}, line {error.lineno}: {error.msg}")
    return documents[0] if len(documents) == 1 else documents


def _find_records(
    path: Path, node: Any, tier: str | None = None
) -> Iterator[dict | list]:
    """Yield the records of words in a document, in order."""
    if isinstance(node, dict):
        node = _simple_keys(node)
        if tier is not None and not isinstance(node.get("tiers"), dict):
            raise AlignmentError(f"{path}: the file has no tiers. Omit --tier.")
        if isinstance(node.get("tiers"), dict):  # MFA
            tiers = node["tiers"]
            yield from tiers[choose_tier(path, tiers, tier)]["entries"]
            return
        name = _container(node)
        if name is None and isinstance(node.get("alternatives"), list):
            # Only the most probable alternative was spoken.
            for best in node.pop("alternatives")[:1]:
                yield from _find_records(path, {**node, **best})
        elif name in ("tokens", "transcription"):
            yield from _whole_words(_pieces(node[name]))
        elif name == "channels" and len(node[name]) > 1:
            raise AlignmentError(
                f"{path}: the file has words of {len(node[name])} channels. Write "
                "one file per channel."
            )
        elif name == "results" and _is_diarized(node[name]):
            # Google repeats all words in the last result, with speakers.
            yield from _find_records(path, node[name][-1:])
        elif name is not None:
            yield from _find_records(path, node[name])
        elif _text_of(node) or any(_bounds(node)):
            yield node
    elif isinstance(node, list):
        for element in node:
            if _is_triple(element):
                yield element
            else:
                yield from _find_records(path, element, tier)


def _container(node: dict) -> str | None:
    """Return the key of the first container of records in a mapping."""
    for name in CONTAINERS:
        value = node.get(name)
        if isinstance(value, dict):
            return name
        if isinstance(value, list) and any(
            isinstance(element, dict) or _is_triple(element)
            for element in value
        ):
            return name
    return None


def _simple_keys(node: dict) -> dict:
    return {str(key).lower().replace("_", ""): v for key, v in node.items()}


def _is_triple(element: Any) -> bool:
    """Return whether an element is ``[start, end, label]``, as MFA writes them."""
    return (
        isinstance(element, list)
        and len(element) == 3
        and isinstance(element[2], str)
    )


def _is_diarized(results: Any) -> bool:
    """Return whether only the last of several results has words with speakers."""
    if not isinstance(results, list) or len(results) < 2:
        return False
    tagged = [
        bool(re.search(r"speaker_?tag.: [1-9]", str(r), re.I)) for r in results
    ]
    return tagged[-1] and not any(tagged[:-1])


def _pieces(units: list) -> Iterator[dict]:
    """Yield the tokens of whisper.cpp, or its segments if they have no tokens."""
    for unit in map(_simple_keys, units):
        tokens = unit.get("tokens")
        if isinstance(tokens, list) and tokens and isinstance(tokens[0], dict):
            yield from map(_simple_keys, tokens)
        else:
            yield unit


def _whole_words(pieces: Iterator[dict]) -> list[dict]:
    """Join subwords: a piece that does not start with a space continues a word."""
    pieces = [
        {
            **{
                key: value
                for key, value in piece.items()
                if key in (*TEXTS, "p")
            },
            **dict(zip(("start", "end"), _bounds(piece))),
        }
        for piece in pieces
        if not _SPECIAL.fullmatch(str(_text_of(piece)).strip())
    ]
    spaced = any(str(_text_of(piece))[:1].isspace() for piece in pieces[1:])
    words = []
    for piece in pieces:
        text = str(_text_of(piece))
        if spaced and words and text and not text[0].isspace():
            words[-1]["text"] += text
            words[-1]["end"] = piece["end"]
        else:
            words.append({**piece, "text": text})
    return words


def _text_of(record: dict) -> str | None:
    """Return the text of a record, or None."""
    return next(
        (record[key] for key in TEXTS if isinstance(record.get(key), str)), None
    )


def _bounds(record: dict) -> tuple[Any, Any]:
    """Return start and end of a record as the file contains them."""
    for name, scale in (
        ("offsets", "ms"),
        ("timestamps", ""),
        ("timestamp", ""),
    ):
        value = record.get(name)
        if isinstance(value, dict):  # whisper.cpp
            value = value.get("from"), value.get("to")
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return tuple(
                v / 1000 if scale and isinstance(v, (int, float)) else v
                for v in value
            )
    return tuple(
        next(
            (
                record[key]
                for key in keys
                # Offsets of gentle are positions in the text.
                if key in record
                and not ("offset" in key and isinstance(record[key], int))
            ),
            None,
        )
        for keys in (STARTS, ENDS)
    )


def _as_entry(path: Path, place: str, record: Any) -> Entry:
    """Convert a record to an entry."""
    if isinstance(record, list):
        record = dict(zip(("start", "end", "word"), record))
    record = _simple_keys(record)
    text = _text_of(record)
    if text is None:
        raise AlignmentError(
            f"{path}, {place}: the record has no text: {str(record)[:99]}"
        )
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise AlignmentError(
            f"{path}, {place}: {text!r} is not valid UTF-8"
        ) from error
    text = html.unescape(text)
    start, end = (parse_time(path, place, value) for value in _bounds(record))
    score = next((record[key] for key in SCORE if key in record), None)
    return Entry(
        place, text.strip(), start, end, parse_score(path, place, score)
    )


def _in_milliseconds(records: list) -> bool:
    """Return whether all times are integers that are too large for seconds."""
    times = [
        pair
        for pair in (
            record[:2]
            if isinstance(record, list)
            else _bounds(_simple_keys(record))
            for record in records
        )
        if None not in pair
    ]
    whole = all(type(time) is int for pair in times for time in pair)
    return (
        bool(times)
        and whole
        and (
            sum(end - start for start, end in times)
            >= LONGEST_MEAN * len(times)
        )
    )
