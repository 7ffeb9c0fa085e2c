"""Repair of missing and empty word times from the neighboring words.

Recognizers omit times or write empty ones for some words: whisperX for numbers, gentle
for words it did not find, Whisper for words between two segments, and captions for the
last word. Repaired words carry a ``note``, which preparation lists in ``adjusted.csv``.
"""

from pathlib import Path

from speechbrain_can.alignment.readers.entries import Entry, check_order
from speechbrain_can.alignment.tokens import is_unexpected, spoken_words
from speechbrain_can.alignment.words import AlignmentError, Word

DIGITS = 6  # 1 us


def timed_words(
    path: Path, entries: list[Entry], duration: float | None
) -> list[Word]:
    """Return the words of entries, each with a start before its end.

    Arguments
    ---------
    path : Path
        The file, for error messages.
    entries : list of Entry
        In temporal order.
    duration : float or None
        Length of the audio in seconds, which ends a last word without an end.

    Raises
    ------
    AlignmentError
        If more than half of the words have no times, or the neighbors of a word leave
        no time for it.
    """
    entries = [entry for entry in entries if not _is_boundary(entry)]
    spoken = [entry for entry in entries if spoken_words(entry.text)]
    untimed = [entry for entry in spoken if entry.start is None]
    if 2 * len(untimed) > len(spoken):
        raise AlignmentError(
            f"{path}, {untimed[0].place}: {untimed[0].text!r} has no times, like "
            f"{len(untimed)} of {len(spoken)} words. Align the transcript instead."
        )
    times = _interpolated(path, entries, duration)
    notes = [
        None if None not in (entry.start, entry.end) else "missing"
        for entry in entries
    ]
    for i, (start, end) in enumerate(times):
        if start == end:
            _make_room(path, entries, times, notes, i)
    words = []
    for entry, (start, end), note in zip(entries, times, notes):
        # An empty label marks a pause.
        text = entry.text.strip() or "<sil>"
        if note is not None:
            note = (
                f"{note} times repaired: {text!r} now covers {start:g} to {end:g} s "
                f"({entry.place})"
            )
        word = Word(text, start, end, entry.score, note)
        check_order(f"{path}, {entry.place}", words, word)
        words.append(word)
    return words


def _is_boundary(entry):
    """Return whether an entry is a pause or a mark of punctuation without time."""
    return (
        (entry.start is None or entry.start == entry.end)
        and not spoken_words(entry.text)
        and not is_unexpected(entry.text)
    )


def _interpolated(path, entries, duration):
    """Fill in missing times, dividing the time between known ones equally."""
    # Starts and ends in one list: s0, e0, s1, e1, ...
    known = [time for entry in entries for time in (entry.start, entry.end)]
    filled = list(known)
    i = 0
    while i < len(known):
        if known[i] is not None:
            i += 1
            continue
        j = i
        while j < len(known) and known[j] is None:
            j += 1
        first = known[i - 1] if i else 0.0
        last = known[j] if j < len(known) else duration
        entry = entries[i // 2]
        if last is None:
            raise AlignmentError(
                f"{path}, {entry.place}: {entry.text!r} has no end, and the length "
                "of the audio is unknown"
            )
        # Words share the time; gaps between them have none.
        ends = [k for k in range(i, j + 1) if k % 2 == 1]
        if last < first:
            raise _no_room(path, entry)
        for k in range(i, j):
            share = sum(end <= k for end in ends) / max(len(ends), 1)
            filled[k] = round(first + (last - first) * share, DIGITS)
        i = j
    return [list(pair) for pair in zip(filled[::2], filled[1::2])]


def _make_room(path, entries, times, notes, i):
    """Give an empty word the gap next to it, or half of its longer neighbor."""
    start, end = times[i]
    before = times[i - 1] if i else None
    after = times[i + 1] if i + 1 < len(times) else None
    notes[i] = notes[i] or "empty"
    if after is not None and after[0] > end:
        times[i][1] = after[0]
    elif before is not None and before[1] < start:
        times[i][0] = before[1]
    else:
        # Several empty words at one time follow each other in the halves.
        lengths = {
            j: times[j][1] - times[j][0]
            for j in (i - 1, i + 1)
            if 0 <= j < len(times)
        }
        j = max(lengths, key=lengths.get, default=None)
        if j is None or lengths[j] <= 0:
            raise _no_room(path, entries[i])
        middle = round((times[j][0] + times[j][1]) / 2, DIGITS)
        notes[j] = notes[j] or "shared"
        if j < i:
            times[i] = [middle, times[j][1]]
            times[j][1] = middle
        else:
            times[i] = [times[j][0], middle]
            times[j][0] = middle


def _no_room(path, entry):
    return AlignmentError(
        f"{path}, {entry.place}: {entry.text!r} has no times, and its neighbors "
        "leave no gap. Align the transcript instead."
    )
