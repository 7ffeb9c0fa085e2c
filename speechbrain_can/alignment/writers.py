"""Alignments as files, which ``read_alignment`` reads again.

Authors
 * The speechbrain-can developers 2026
"""

import csv

from speechbrain_can.files import atomic_write


def write_csv(folder, name, found):
    """``word, start, end, score``, seconds: ``<name>.csv``."""
    with atomic_write(folder / f"{name}.csv") as stream:
        writer = csv.writer(stream)
        writer.writerow(["word", "start", "end", "score"])
        for word in found.words:
            score = "" if word.score is None else f"{word.score:.3f}"
            writer.writerow(
                [word.text, f"{word.start:.3f}", f"{word.end:.3f}", score]
            )


def write_ctm(folder, name, found):
    """``utterance channel start duration word [score]``: ``<name>.ctm``."""
    with atomic_write(folder / f"{name}.ctm") as stream:
        for word in found.words:
            score = "" if word.score is None else f" {word.score:.3f}"
            stream.write(
                f"{name.replace(' ', '_')} 1 {word.start:.3f} "
                f"{word.end - word.start:.3f} {word.text}{score}\n"
            )


def write_textgrid(folder, name, found):
    """Praat's TextGrid with a tier of words: ``<name>.TextGrid``."""
    tier = [(word.start, word.end, word.text) for word in found.words]
    save_textgrid(folder / f"{name}.TextGrid", {"words": tier}, found.end)


def save_textgrid(path, tiers, duration):
    """Tiers of (start, end, label) by name, in Praat's long format.

    Raises ``ImportError`` if praatio is not installed.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise ImportError(
            "writing TextGrid needs praatio (pip install "
            "'speechbrain_can[predict]')"
        ) from error
    grid = textgrid.Textgrid(0, duration)
    for name, entries in tiers.items():
        grid.addTier(textgrid.IntervalTier(name, entries, 0, duration))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


WRITERS = {"csv": write_csv, "ctm": write_ctm, "textgrid": write_textgrid}
