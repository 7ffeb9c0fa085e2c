"""Readers of TextGrid and ELAN files, and the choice of a tier."""

import re
import tempfile
from pathlib import Path
from typing import Iterable, Iterator

from speechbrain_can.alignment.readers.entries import Entry, import_library
from speechbrain_can.alignment.tokens import visible
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.io.files import read_text

# Names of word tiers; the first group that occurs in a file is used. MAU (WebMAUS),
# KAN-MAU, phones, PhonAlign and syll contain other units.
WORD_TIERS = (
    # MFA, Prosodylab, charsiu, EasyAlign; P2FA, FAVE; HTK; SPPAS; WebMAUS
    {"words", "word", "wrd", "tokensalign", "ort-mau"},
    {"ort"},  # older WebMAUS
)


def word_tiers(names: Iterable[str]) -> list[str]:
    """Return the tiers with the name of a word tier of a known tool.

    Example
    -------
    >>> word_tiers(["anna - words", "anna - phones"])
    ['anna - words']
    >>> word_tiers(["ORT", "ORT-MAU", "MAU"]), word_tiers(["MAU"])
    (['ORT-MAU'], [])
    """
    # MFA and ELAN combine the tier with the speaker: "anna - words", "words@anna"
    # praatio numbers tiers of the same name: "words", "words_2".
    parts = {
        name: {
            re.sub(r"_\d+$", "", part.strip())
            for part in re.split(r" - |[@()]", name.casefold())
        }
        for name in names
    }
    for group in WORD_TIERS:
        chosen = [name for name, own in parts.items() if own & group]
        if chosen:
            return chosen
    return []


def choose_tier(path: Path, names: Iterable[str], tier: str | None) -> str:
    """Return the name of the requested tier, or of the only word tier.

    Raises ``AlignmentError`` if there is none or more than one.
    """
    names = list(names)
    if tier is not None:
        asked = visible(tier).strip()
        chosen = [name for name in names if visible(name).strip() == asked]
        if not chosen:
            chosen = [
                name
                for name in names
                if visible(name).strip().casefold() == asked.casefold()
            ]
        problem = f"found {len(chosen)} tiers named {tier!r}"
    else:
        chosen = word_tiers(names)
        problem = f"expected one word tier, found {len(chosen)}"
    if len(chosen) != 1:
        raise AlignmentError(
            f"{path}: {problem}. Tiers: {', '.join(names) or 'none'}. Pass "
            "--tier=NAME to choose the tier of the words."
        )
    return chosen[0]


def textgrid_entries(path: Path, tier: str | None = None) -> Iterator[Entry]:
    """Read the word tier of a TextGrid in long or short format."""
    textgrid = import_library("praatio.textgrid", path)
    text = read_text(path)
    if not text.strip():
        raise AlignmentError(f"{path}: the alignment is empty")
    # praatio reads UTF-8 and UTF-16 only, and only from files.
    with tempfile.TemporaryDirectory() as folder:
        utf8 = Path(folder) / "utf8.TextGrid"
        utf8.write_text(text, encoding="utf-8")
        grid = textgrid.openTextgrid(
            str(utf8),
            includeEmptyIntervals=True,
            reportingMode="silence",
            duplicateNamesMode="rename",
        )
    tiers = {
        tier.name: tier
        for tier in grid.tiers
        if isinstance(tier, textgrid.IntervalTier)
    }
    chosen = tiers[choose_tier(path, tiers, tier)]
    for number, entry in enumerate(chosen.entries, start=1):
        yield Entry(f"interval {number}", entry.label, entry.start, entry.end)


def elan_entries(path: Path, tier: str | None = None) -> Iterator[Entry]:
    """Read the word tier of an ELAN file.

    Time slots without a value are left for interpolation.
    """
    pympi = import_library("pympi", path)
    file = pympi.Elan.Eaf(str(path))
    chosen = choose_tier(path, file.get_tier_names(), tier)
    aligned, referring, attributes, _ = file.tiers[chosen]
    kind = attributes.get("LINGUISTIC_TYPE_REF")
    constraint = file.linguistic_types.get(kind, {}).get("CONSTRAINTS")
    if referring and constraint != "Symbolic_Association":
        raise AlignmentError(
            f"{path}: the annotations of tier {chosen!r} ({constraint}) have no "
            "times of their own. Align the transcript instead."
        )
    # TIME_ORDER lists the slots in temporal order.
    order = {slot: i for i, slot in enumerate(file.timeslots)}
    spans = {
        name: (value, start, end)
        for name, (start, end, value, _) in aligned.items()
    }
    for parent, value, _, _ in referring.values():
        _, start, end = _annotation(file, parent)
        spans[len(spans), parent] = value, start, end
    rows = sorted(
        spans.values(), key=lambda row: (order[row[1]], order[row[2]])
    )
    for number, (text, *slots) in enumerate(rows, start=1):
        start, end = (
            None
            if file.timeslots[slot] is None
            else file.timeslots[slot] / 1000
            for slot in slots
        )
        yield Entry(f"annotation {number}", text or "", start, end)


def _annotation(file, name):
    """Return value and time slots of an annotation that has times."""
    for aligned, referring, _, _ in file.tiers.values():
        if name in aligned:
            start, end, value, _ = aligned[name]
            return value, start, end
        if name in referring:
            return _annotation(file, referring[name][0])
    raise AlignmentError(f"annotation {name!r} does not exist")
