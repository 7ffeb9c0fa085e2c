"""Readers for the alignment formats of IEMOCAP and EmoDB."""

import math
from pathlib import Path

from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.files import decode

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
    lines = _numbered_lines(path)
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


def read_xlabel(path: str | Path) -> list[Word]:
    """Read an ESPS xlabel file of EmoDB, whose times mark the start of each label.

    The format specifies end times, but EmoDB stores start times. The first label
    precedes the onset of the voice by 15 ms (median of 493 recordings), and the
    last one, a pause, follows its end by 30 ms (median of the 102 recordings that
    are not truncated).

    Labels without a letter (empty, ``.``, ``(``) are pauses and returned as
    ``<sil>``, which ``clean_words`` removes. Text after the label (EmoDB's stress
    marks) is ignored. If two labels start at the same time, the pause is dropped,
    or otherwise the second label. The last label only ends the previous one.
    """
    lines = _numbered_lines(path)
    if not lines:
        raise AlignmentError(f"{path}: the alignment is empty")
    header_end = [i for i, (_, line) in enumerate(lines) if line.strip() == "#"]
    if not header_end:
        raise AlignmentError(
            f"{path}: the file is truncated; no '#' line ends the header"
        )
    labels = []
    for number, line in lines[header_end[0] + 1 :]:
        fields = line.split(None, 2)
        try:
            start = float(fields[0])
        except ValueError:
            raise AlignmentError(
                f"{path}, line {number}: expected 'start color label', "
                f"found {line.strip()!r}"
            )
        label = (fields[2].split() if len(fields) > 2 else [""])[0]
        if labels and start < labels[-1][0]:
            raise AlignmentError(
                f"{path}, line {number}: {label!r} starts at {start:g} s, "
                f"before the previous label at {labels[-1][0]:g} s"
            )
        spoken = any(character.isalpha() for character in label)
        if labels and start == labels[-1][0]:
            if labels[-1][1] != "<sil>":
                continue
            labels.pop()
        labels.append((start, label if spoken else "<sil>"))
    if len(labels) < 2:
        raise AlignmentError(
            f"{path}: the file is truncated; it has fewer than two labels"
        )
    if labels[-1][1] != "<sil>":
        raise AlignmentError(
            f"{path}, line {number}: the file is truncated; no pause marks the "
            f"end of {labels[-1][1]!r}"
        )
    return [
        Word(label, start, end)
        for (start, label), (end, _) in zip(labels[:-1], labels[1:])
    ]


def _numbered_lines(path):
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
