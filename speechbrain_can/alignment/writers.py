"""Alignments as files, which ``read_alignment`` reads again."""

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

    Intervals share no time: one that begins within the one before is cut there,
    and left out if nothing is left of it.

    Raises ``ImportError`` if praatio is not installed.
    """
    try:
        from praatio import textgrid
    except ImportError as error:
        raise ImportError(
            "writing TextGrid needs praatio (pip install "
            "'speechbrain_can[predict]')"
        ) from error
    # samples at another rate may outlast the file by less than one
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
            # praatio takes "intervals [2]" in a label for the next interval
            apart.append((start, end, label.replace(" [", "\u00a0[")))
            free = end
    return apart


WRITERS = {"csv": write_csv, "ctm": write_ctm, "textgrid": write_textgrid}
