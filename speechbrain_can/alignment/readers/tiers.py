"""Readers of TextGrid and ELAN files."""

from pathlib import Path
from typing import Iterator

from speechbrain_can.alignment.readers.entries import Entry, import_library
from speechbrain_can.alignment.words import AlignmentError

WORD_TIERS = ("words", "word", "ort", "mau")


def is_word_tier(name: str) -> bool:
    """Return whether a tier has the name of a word tier of a known tool."""
    # MFA prefixes the speaker: "anna - words"
    return name.lower().rpartition(" - ")[2].strip() in WORD_TIERS


def textgrid_entries(path: Path) -> Iterator[Entry]:
    """Read the word tier of a TextGrid in long or short format."""
    textgrid = import_library("praatio.textgrid", path)
    grid = textgrid.openTextgrid(
        str(path),
        includeEmptyIntervals=True,
        reportingMode="silence",
        duplicateNamesMode="rename",
    )
    tiers = [t for t in grid.tiers if isinstance(t, textgrid.IntervalTier)]
    chosen = [tier for tier in tiers if is_word_tier(tier.name)]
    if len(chosen or tiers) != 1:
        raise AlignmentError(
            f"{path}: expected one word tier, found {len(chosen)}. Tiers: "
            f"{', '.join(grid.tierNames) or 'none'}."
        )
    for number, entry in enumerate((chosen or tiers)[0].entries, start=1):
        yield Entry(f"interval {number}", entry.label, entry.start, entry.end)


def elan_entries(path: Path) -> Iterator[Entry]:
    """Read the word tier of an ELAN file."""
    pympi = import_library("pympi", path)
    file = pympi.Elan.Eaf(str(path))
    names = list(file.get_tier_names())
    chosen = [name for name in names if is_word_tier(name)] or names
    if len(chosen) != 1:
        raise AlignmentError(
            f"{path}: expected one word tier, found {len(chosen)}. Tiers: "
            f"{', '.join(names) or 'none'}."
        )
    rows = sorted(file.get_annotation_data_for_tier(chosen[0]))
    for number, (start, end, text, *_) in enumerate(rows, start=1):
        yield Entry(f"annotation {number}", text, start / 1000, end / 1000)
