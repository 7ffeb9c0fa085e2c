"""Reader of ``.wdseg`` files of the Sphinx-3 aligner (IEMOCAP)."""

from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import (
    Entry,
    check_order,
    numbered_lines,
)
from speechbrain_can.alignment.words import AlignmentError, Word

SPHINX_FRAME_RATE = 100  # frames per second in a .wdseg file


def read_wdseg(path: str | Path) -> list[Word]:
    r"""Read a ``.wdseg`` file of the Sphinx-3 aligner, the format of IEMOCAP.

    Frames last 10 ms and both frame numbers are inclusive, so a row ends at
    ``(EFrm + 1) / 100`` seconds.

    Example
    -------
    >>> path = getfixture("tmpdir") / "apple.wdseg"
    >>> _ = path.write(
    ...     " SFrm EFrm SegAScr Word\n 0 51 -9 <s>\n 52 75 -9 i(2)\n"
    ...     " Total score: -18\n"
    ... )
    >>> read_wdseg(path)
    [Word(text='<s>', start=0.0, end=0.52), Word(text='i(2)', start=0.52, end=0.76)]
    """
    lines = numbered_lines(path)
    if not lines:
        raise AlignmentError(f"{path}: the alignment is empty")
    number, header = lines[0]
    if header.split() != ["SFrm", "EFrm", "SegAScr", "Word"]:
        raise AlignmentError(
            f"{path}, line {number}: expected the header "
            f"'SFrm EFrm SegAScr Word', found {header.strip()!r}"
        )
    if not lines[-1][1].strip().startswith("Total score:"):
        raise AlignmentError(
            f"{path}, line {lines[-1][0]}: the file is truncated; it does not "
            "end with 'Total score:'"
        )
    words = []
    for number, line in lines[1:-1]:
        fields = line.split()
        try:
            start = int(fields[0]) / SPHINX_FRAME_RATE
            end = (int(fields[1]) + 1) / SPHINX_FRAME_RATE
            word = Word(fields[3], start, end)
        except (IndexError, ValueError, OverflowError):
            raise AlignmentError(
                f"{path}, line {number}: expected 'SFrm EFrm SegAScr Word', "
                f"found {line.strip()!r}"
            )
        check_order(f"{path}, line {number}", words, word)
        words.append(word)
    return words


def wdseg_entries(path: Path) -> Iterator[Entry]:
    """Read an alignment of IEMOCAP; see ``read_wdseg``."""
    for number, word in enumerate(read_wdseg(path), start=1):
        yield Entry(f"word {number}", word.text, word.start, word.end)
