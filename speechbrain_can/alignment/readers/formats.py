"""Readers for common alignment formats, selected by file extension.

``read_alignment`` reads Sphinx ``.wdseg``, EmoDB's ``.labsilb``, Praat TextGrid (MFA,
charsiu), CTM (Kaldi, NeMo), JSON of whisperX, Whisper, whisper-timestamped, gentle,
Vosk and MFA, ELAN, Audacity labels, SRT and WebVTT with one word per cue, and CSV.
Scores are kept if the file contains any.
"""

from pathlib import Path
from typing import Iterable

from speechbrain_can.alignment.readers.entries import Entry, check_order
from speechbrain_can.alignment.readers.json_words import json_entries
from speechbrain_can.alignment.readers.plain_text import (
    audacity_entries,
    ctm_entries,
    table_entries,
)
from speechbrain_can.alignment.readers.sphinx import wdseg_entries
from speechbrain_can.alignment.readers.subtitles import cue_entries
from speechbrain_can.alignment.readers.tiers import (
    elan_entries,
    textgrid_entries,
)
from speechbrain_can.alignment.readers.xlabel import xlabel_entries
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.io.files import parsing


def read_alignment(
    path: str | Path, utterance_id: str | None = None
) -> list[Word]:
    r"""Read words with timings from a file in any of the ``FORMATS``.

    Arguments
    ---------
    path : str or Path
        The file; its extension determines the format.
    utterance_id : str or None
        The utterance to read from a CTM file that contains several; None for
        the name of the file.

    Returns
    -------
    list of Word
        Sorted by start time, including special tokens.

    Raises
    ------
    AlignmentError
        If the format is unknown or the file is malformed; the message names the
        file and the line, cue or word.

    Example
    -------
    >>> path = getfixture("tmpdir") / "apple.csv"
    >>> _ = path.write("word,start,end\noh,0.1,0.4\nno,0.4,0.9\n")
    >>> read_alignment(path)
    [Word(text='oh', start=0.1, end=0.4), Word(text='no', start=0.4, end=0.9)]
    """
    path = Path(path)
    if not path.is_file():
        raise AlignmentError(f"{path}: alignment file not found")
    read = FORMATS.get(path.suffix.lower())
    if read is None:
        raise AlignmentError(
            f"{path}: unknown alignment format {path.suffix!r}. Supported "
            f"extensions: {', '.join(sorted(FORMATS))}."
        )
    kind = KINDS.get(path.suffix.lower(), "an alignment")
    with parsing(path, kind, AlignmentError):
        if read is ctm_entries:
            return _as_words(path, read(path, utterance_id or path.stem))
        return _as_words(path, read(path))


def _as_words(path: Path, entries: Iterable[Entry]) -> list[Word]:
    """Validate entries and convert them to words."""
    entries = _with_times(path, list(entries))
    if not entries:
        raise AlignmentError(f"{path}: the alignment is empty")
    words = []
    for entry in entries:
        if len(entry.text.split()) > 1:
            raise AlignmentError(
                f"{path}, {entry.place}: {entry.text!r} contains several words, "
                "but each word needs its own times. Align the transcript instead."
            )
        # An empty label marks a pause.
        text = entry.text.strip() or "<sil>"
        word = Word(text, entry.start, entry.end, entry.score)
        check_order(f"{path}, {entry.place}", words, word)
        words.append(word)
    return words


def _with_times(path: Path, entries: list[Entry]) -> list[Entry]:
    """Interpolate missing times: whisperX omits those of numbers, gentle of misses."""
    filled = list(entries)
    i = 0
    while i < len(filled):
        if filled[i].start is not None:
            i += 1
            continue
        j = i
        while j < len(filled) and filled[j].start is None:
            j += 1
        start = filled[i - 1].end if i else 0.0
        end = filled[j].start if j < len(filled) else start
        if end <= start:
            raise AlignmentError(
                f"{path}, {filled[i].place}: {filled[i].text!r} has no times, "
                "and its neighbors leave no gap. Align the transcript instead."
            )
        step = (end - start) / (j - i)
        for k in range(i, j):
            filled[k] = filled[k]._replace(
                start=round(start + (k - i) * step, 6),
                end=round(start + (k - i + 1) * step, 6),
            )
        i = j
    return filled


# Functions from a path to entries, by lower-case file extension
FORMATS = {
    ".wdseg": wdseg_entries,
    ".labsilb": xlabel_entries,
    ".textgrid": textgrid_entries,
    ".ctm": ctm_entries,
    ".json": json_entries,
    ".eaf": elan_entries,
    ".txt": audacity_entries,
    ".srt": cue_entries,
    ".vtt": cue_entries,
    ".csv": table_entries,
    ".tsv": table_entries,
}

# Names of formats for messages about files that cannot be parsed
KINDS = {
    ".textgrid": "a TextGrid",
    ".json": "JSON of words",
    ".eaf": "an ELAN file",
    ".srt": "SubRip",
    ".vtt": "WebVTT",
}
