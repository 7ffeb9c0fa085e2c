"""Readers for common alignment formats, selected by file extension.

``read_alignment`` reads Sphinx ``.wdseg``, EmoDB's ``.labsilb``, Praat TextGrid (MFA,
WebMAUS, P2FA, Prosodylab, SPPAS, charsiu), ELAN, CTM (Kaldi, NeMo), Audacity labels,
SRT and WebVTT with one word per cue or with word times (YouTube), CSV (also of MFA),
and JSON of Whisper, whisperX, whisper.cpp, faster-whisper, whisper-timestamped,
transformers, Vosk, gentle, MFA, AssemblyAI, Google, AWS and Deepgram. Scores are
kept if the file contains any.
"""

from pathlib import Path

from speechbrain_can.alignment.readers.json_words import json_entries
from speechbrain_can.alignment.readers.plain_text import (
    audacity_entries,
    ctm_entries,
    table_entries,
)
from speechbrain_can.alignment.readers.repair import timed_words
from speechbrain_can.alignment.readers.sphinx import wdseg_entries
from speechbrain_can.alignment.readers.subtitles import cue_entries
from speechbrain_can.alignment.readers.tiers import (
    elan_entries,
    textgrid_entries,
)
from speechbrain_can.alignment.readers.xlabel import xlabel_entries
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.io.files import LFS_POINTER, is_lfs_pointer, parsing


def read_alignment(
    path: str | Path,
    utterance_id: str | None = None,
    tier: str | None = None,
    duration: float | None = None,
) -> list[Word]:
    r"""Read words with timings from a file in any of the ``FORMATS``.

    Missing and empty times are repaired from the neighboring words; ``note`` of a
    word describes the repair.

    Arguments
    ---------
    path : str or Path
        The file; its extension determines the format.
    utterance_id : str or None
        The utterance to read from a CTM file that contains several; None for
        the name of the file.
    tier : str or None
        Name of the tier to read (TextGrid, ELAN, JSON and CSV of MFA); None for the
        word tier of a known tool.
    duration : float or None
        Length of the audio in seconds. Needed if the last word has no end.

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
    suffix = path.suffix.lower()
    read = FORMATS.get(suffix)
    if read is None:
        raise AlignmentError(
            f"{path}: unknown alignment format {path.suffix!r}. Supported "
            f"extensions: {', '.join(sorted(FORMATS))}."
        )
    options = {}
    if suffix in WITH_TIERS:
        options["tier"] = tier
    elif tier is not None:
        raise AlignmentError(
            f"{path}: {suffix} files have no tiers. Omit --tier."
        )
    if read is ctm_entries:
        options["utterance_id"] = utterance_id or path.stem
    with open(path, "rb") as stream:
        if is_lfs_pointer(stream.read(64)):
            raise AlignmentError(LFS_POINTER.format(path))
    with parsing(path, KINDS.get(suffix, "an alignment"), AlignmentError):
        entries = list(read(path, **options))
        if not entries:
            raise AlignmentError(f"{path}: the alignment is empty")
        for entry in entries:
            if len(entry.text.split()) > 1:
                raise AlignmentError(
                    f"{path}, {entry.place}: {entry.text!r} contains several words, "
                    "but each word needs its own times. Align the transcript "
                    "instead."
                )
            if "▁" in entry.text or "<space>" in entry.text:
                raise AlignmentError(
                    f"{path}, {entry.place}: {entry.text!r} is a subword or a "
                    "segment. Use the word timings of the tool."
                )
        return timed_words(path, entries, duration)


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

WITH_TIERS = {".textgrid", ".eaf", ".json", ".csv", ".tsv"}

# Names of formats for messages about files that cannot be parsed
KINDS = {
    ".textgrid": "a TextGrid",
    ".json": "JSON of words",
    ".eaf": "an ELAN file",
    ".srt": "SubRip",
    ".vtt": "WebVTT",
}
