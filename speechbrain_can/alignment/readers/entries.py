"""Common parts of the readers of alignment files."""

import math
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Iterator, NamedTuple, Optional

from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.io.files import decode, read_text

# Alternative names of the score; the first one that exists is used.
SCORE = ("score", "confidence", "probability", "conf", "p")
# Values of missing numbers
MISSING = {"", "na", "n/a", "null", "none", "nan", "-"}


class Entry(NamedTuple):
    """A word as read from a file, before validation.

    Arguments
    ---------
    place : str
        Position in the file for error messages, such as ``line 3``.
    text : str
        The word; empty for a pause.
    start, end : float or None
        Seconds; None if the file does not contain the time.
    score : float or None
        Confidence of the aligner or recognizer.
    """

    place: str
    text: str
    start: Optional[float]
    end: Optional[float]
    score: Optional[float] = None


def parse_number(path: Path, place: str, value: object) -> float:
    """Return a finite number; raise ``AlignmentError`` for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AlignmentError(
            f"{path}, {place}: {str(value)[:99]!r} is not a number"
        )
    return number


def parse_time(path: Path, place: str, value: object) -> float | None:
    """Return a time in seconds, or None for a missing one.

    Besides numbers, values may be ``1.3s``, ``00:00:01,300``, with a decimal comma,
    or a mapping with seconds and nanoseconds (protocol buffers).

    Example
    -------
    >>> [parse_time(Path(), "", t) for t in ("1.3s", "00:01:02,5", "1,3", None)]
    [1.3, 62.5, 1.3, None]
    """
    if isinstance(value, dict):
        seconds = parse_number(path, place, value.get("seconds", 0))
        return seconds + parse_number(path, place, value.get("nanos", 0)) / 1e9
    if isinstance(value, str):
        value = value.strip().lower().removesuffix("s").replace(",", ".")
        if value in MISSING:
            return None
        if ":" in value:
            parts = [parse_number(path, place, v) for v in value.split(":")]
            return sum(60**i * v for i, v in enumerate(reversed(parts)))
    # JSON of Python writes missing numbers as NaN.
    if value is None or value != value:
        return None
    return parse_number(path, place, value)


def parse_score(path: Path, place: str, value: object) -> float | None:
    """Return a confidence, or None for a missing one."""
    if isinstance(value, str) and value.strip().lower() in MISSING:
        return None
    if value is None or value != value:
        return None
    return parse_number(path, place, value)


def content_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield place and text of the lines that are neither empty nor ``;;`` comments."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.startswith(";;"):
            yield f"line {number}", line


def import_library(name: str, path: Path) -> ModuleType:
    """Import an optional library that reads a format."""
    try:
        return import_module(name)
    except ImportError as error:
        raise AlignmentError(
            f"{path}: reading {path.suffix} files needs an extra package. Run pip "
            "install 'speechbrain_can[readers]'."
        ) from error


def numbered_lines(path: str | Path) -> list[tuple[int, str]]:
    """Return number and text of the lines that are not empty."""
    lines = enumerate(decode(Path(path).read_bytes()).splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def check_order(place: str, words: list[Word], word: Word) -> None:
    """Refuse a word that ends before its start or starts before the previous one."""
    if not word.start < word.end < math.inf:  # also refuses NaN
        raise AlignmentError(
            f"{place}: {word.text!r} ends at {word.end:g} s, "
            f"not after its start at {word.start:g} s"
        )
    earliest = words[-1].start if words else 0.0
    if word.start < earliest:
        raise AlignmentError(
            f"{place}: {word.text!r} starts at {word.start:g} s, before the "
            f"{'previous word' if words else 'audio'} at {earliest:g} s"
        )
