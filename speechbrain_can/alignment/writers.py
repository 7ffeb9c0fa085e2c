"""Writers of alignment files that ``read_alignment`` reads."""

import csv
from pathlib import Path

from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.io.files import atomic_write


def write_csv(folder: Path, name: str, found: FoundWords) -> None:
    """Write ``<name>.csv`` with the columns word, start, end (seconds) and score."""
    with atomic_write(folder / f"{name}.csv") as stream:
        writer = csv.writer(stream)
        writer.writerow(["word", "start", "end", "score"])
        for word in found.words:
            score = "" if word.score is None else f"{word.score:.3f}"
            writer.writerow(
                [word.text, f"{word.start:.3f}", f"{word.end:.3f}", score]
            )


def write_ctm(folder: Path, name: str, found: FoundWords) -> None:
    """Write ``<name>.ctm``: ``utterance channel start duration word [score]``."""
    with atomic_write(folder / f"{name}.ctm") as stream:
        for word in found.words:
            score = "" if word.score is None else f" {word.score:.3f}"
            stream.write(
                f"{name.replace(' ', '_')} 1 {word.start:.3f} "
                f"{word.end - word.start:.3f} {word.text}{score}\n"
            )


def write_textgrid(folder: Path, name: str, found: FoundWords) -> None:
    """Write ``<name>.TextGrid`` with a word tier."""
    tier = [(word.start, word.end, word.text) for word in found.words]
    save_textgrid(folder / f"{name}.TextGrid", {"words": tier}, found.end)


def save_textgrid(
    path: Path,
    tiers: dict[str, list[tuple[float, float, str]]],
    duration: float,
) -> None:
    """Write tiers of (start, end, label) as a TextGrid in Praat's long format.

    Overlapping intervals are clipped to start after the previous one, and
    dropped if nothing is left. Raises ``ImportError`` without praatio.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise ImportError(
            "writing TextGrid files needs praatio. Run pip install "
            "'speechbrain_can[predict]'."
        ) from error
    # Resampled audio may be longer than the file by less than one sample.
    ends = [end for entries in tiers.values() for _, end, _ in entries]
    duration = max([duration, *ends])
    grid = textgrid.Textgrid(0, duration)
    for name, entries in tiers.items():
        apart = _apart(entries)
        grid.addTier(textgrid.IntervalTier(name, apart, 0, duration))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def _apart(entries):
    apart, free = [], 0.0
    for start, end, label in sorted(entries):
        start = max(start, free)
        if end > start:
            # praatio parses "intervals [2]" in a label as the next interval
            apart.append((start, end, label.replace(" [", "\u00a0[")))
            free = end
    return apart


WRITERS = {"csv": write_csv, "ctm": write_ctm, "textgrid": write_textgrid}
