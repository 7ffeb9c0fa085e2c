"""Reader of SubRip and WebVTT with one word per cue."""

import io
from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import Entry, import_library
from speechbrain_can.io.files import decode


def cue_entries(path: Path) -> Iterator[Entry]:
    """Read SubRip or WebVTT with one word per cue."""
    webvtt = import_library("webvtt", path)
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
