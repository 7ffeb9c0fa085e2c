"""Reader of SubRip and WebVTT: one word per cue, or word times in the text."""

import html
import io
import re
from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import (
    Entry,
    import_library,
    parse_time,
)
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.io.files import read_text

_TIME = re.compile(r"<(\d+(?::\d+)+\.\d+)>")
_TAG = re.compile(r"</?[a-z][^>]*>")


def cue_entries(path: Path) -> Iterator[Entry]:
    """Read cues of one word each, or cues whose words have times of their own.

    YouTube writes the start of each word: ``kids<00:00:01.280><c> are</c>``. Its cues
    repeat the previous line without times, which is skipped.
    """
    webvtt = import_library("webvtt", path)
    text = read_text(path)
    cues = webvtt.WebVTT.from_buffer(
        io.StringIO(text), format=path.suffix.lower()[1:]
    )
    stated = sum("-->" in line for line in text.splitlines())
    if len(cues) != stated:
        raise AlignmentError(
            f"{path}: {stated - len(cues)} of {stated} cues cannot be read"
        )
    spans = [
        (f"cue {number}", *_times(cue), cue.raw_text)
        for number, cue in enumerate(cues, start=1)
    ]
    if not any(_TIME.search(text) for *_, text in spans):
        for place, start, end, text in spans:
            yield Entry(place, _plain(text), start, end)
        return
    previous = ""
    for place, start, end, text in spans:
        for number, line in enumerate(text.splitlines()):
            plain = " ".join(_plain(_TIME.sub(" ", line)).split())
            rolled = number == 0 and plain == previous
            if not _TIME.search(line) and (rolled or not plain):
                continue
            yield from _timed_line(path, place, start, end, line)
            previous = plain


def _times(cue):
    """Return start and end of a cue in seconds."""
    return (
        3600 * time.hours
        + 60 * time.minutes
        + time.seconds
        + time.milliseconds / 1000
        for time in (cue.start_time, cue.end_time)
    )


def _plain(text):
    """Return a text without tags, entities and the mark of a new speaker."""
    text = html.unescape(_TAG.sub("", text))
    return text.replace("\u200b", "").strip().removeprefix(">>").strip()


def _timed_line(path, place, start, end, line):
    """Yield the words of a line; each ends where the next one starts."""
    first, *rest = _TIME.split(line)
    starts = [start, *(parse_time(path, place, time) for time in rest[::2])]
    texts = [_plain(text) for text in (first, *rest[1::2])]
    if any(len(text.split()) > 1 for text in texts):
        raise AlignmentError(
            f"{path}, {place}: {' '.join(texts)!r} contains words without times. "
            "Align the transcript instead."
        )
    for text, begin, stop in zip(texts, starts, [*starts[1:], end]):
        if text:
            yield Entry(place, text, begin, stop)
