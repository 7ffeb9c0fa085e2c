"""Reader of ESPS xlabel files (EmoDB)."""

from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import Entry, numbered_lines
from speechbrain_can.alignment.words import AlignmentError, Word


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
    lines = numbered_lines(path)
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


def xlabel_entries(path: Path) -> Iterator[Entry]:
    """Read labels of EmoDB; see ``read_xlabel``."""
    for number, word in enumerate(read_xlabel(path), start=1):
        yield Entry(f"label {number}", word.text, word.start, word.end)
