"""Words of an utterance from an alignment, a transcript, or the audio only.

Timings of speech recognizers are too inaccurate for segmentation (half of Whisper's word
starts are within 50 ms of the reference), so an aligner refines them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple, Union

import torch

from speechbrain_can.alignment.readers.formats import read_alignment
from speechbrain_can.alignment.text import spoken_text
from speechbrain_can.alignment.words import (
    END_TOLERANCE,
    AlignmentError,
    Word,
    adjustments,
    clean_words,
    fit_to_audio,
    tile_words,
)
from speechbrain_can.io.audio import resample

GIVEN = "given"


class FoundWords(NamedTuple):
    """Words of an utterance with their timings.

    Arguments
    ---------
    words : list of Word
        Cleaned words; pauses are the gaps between them.
    end : float
        End of the utterance in seconds.
    aligned_by : str
        Source of the timings: ``given``, or the names of recognizer and aligner.
    covered : float or None
        End of the last entry of an alignment, including pauses, in seconds; None
        if all of the audio was aligned.
    adjustments : tuple of str
        Repaired times and tokens or text that were left out.
    """

    words: List[Word]
    end: float
    aligned_by: str
    covered: Optional[float] = None
    adjustments: Tuple[str, ...] = ()

    def tiled(self) -> List[Word]:
        """Return words that cover the whole utterance, as models expect them."""
        return tile_words(self.words, self.end)


class AlignmentFile(NamedTuple):
    """A file with the word timings of an utterance; see ``read_alignment``.

    Arguments
    ---------
    path : str or Path
        The file.
    utterance_id : str or None
        Name of the utterance in a CTM file of a whole corpus.
    tier : str or None
        Name of the tier of the words.
    """

    path: str | Path
    utterance_id: Optional[str] = None
    tier: Optional[str] = None


# Everything that specifies word timings
Alignment = Union[str, Path, AlignmentFile, List[Word], FoundWords]


def find_words(
    waveform: torch.Tensor,
    sample_rate: int,
    aligner: Callable | None = None,
    transcriber: Callable | None = None,
    transcript: str | None = None,
    alignment: Alignment | None = None,
    language: str | None = None,
) -> FoundWords:
    """Return words with timings, aligning or transcribing the audio if necessary.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples, ``[samples]``.
    sample_rate : int
        Sample rate in Hz.
    aligner : callable or None
        Maps a waveform and a transcript to a list of Word.
    transcriber : callable or None
        Maps a waveform to a list of Word.
    transcript : str or None
        The spoken words.
    alignment : str, Path, AlignmentFile, list of Word, FoundWords or None
        Word timings, or a file that ``read_alignment`` reads. If its last entry
        is a pause, or ends within an aligner's rounding of the audio's end, the
        utterance ends with it; otherwise it ends with the audio.
    language : str or None
        Language code of the speech, such as ``en``, if it is known.

    Returns
    -------
    FoundWords
        The words.

    Raises
    ------
    AlignmentError
        If the words do not match the audio, neither transcript, alignment nor
        recognizer is available, or one of these parts does not support the
        language.
    """
    duration = len(waveform) / sample_rate
    if alignment is not None:
        return words_of_alignment(alignment, duration)
    notes: List[str] = []
    aligner = _in_language(aligner, language)
    if transcript is not None:
        if aligner is None:
            raise AlignmentError(
                "a transcript needs an aligner. Configure one or provide an "
                "alignment."
            )
        speech = resample(waveform, sample_rate, aligner.sample_rate)
        spoken, notes = spoken_text(transcript)
        if language is None and hasattr(aligner, "doubts"):
            notes = [*notes, *aligner.doubts(spoken)]
        words, how = aligner(speech, spoken), aligner.name
    elif transcriber is not None:
        transcriber = _in_language(transcriber, language)
        speech = resample(waveform, sample_rate, transcriber.sample_rate)
        found = transcribe_words(speech, transcriber, aligner)
        words, notes = clean_words(found), adjustments(found)
        how = transcriber.name + (f", {aligner.name}" if aligner else "")
    else:
        raise AlignmentError(
            "the words are unknown and no speech recognizer is configured. "
            "Provide a transcript or an alignment."
        )
    if not words:
        raise AlignmentError("the alignment contains no words")
    return FoundWords(words, duration, how, adjustments=tuple(notes))


def _in_language(
    part: Callable | None, language: str | None
) -> Callable | None:
    """Return an aligner or recognizer for a language, or raise ``AlignmentError``.

    Parts without an attribute ``language`` support all languages.
    """
    supported = getattr(part, "language", language)
    if language is None or supported == language:
        return part
    if hasattr(part, "with_language"):
        return part.with_language(language)
    raise AlignmentError(
        f"{part.name} supports only the language {supported!r}, but the recording is "
        f"in {language!r}. Provide an alignment, or use parts for this language, such "
        "as CTCAligner and WhisperTranscriber."
    )


def words_of_alignment(alignment: Alignment, duration: float) -> FoundWords:
    """Return the words of an alignment of audio with this duration in seconds.

    See ``find_words`` for the arguments and errors.
    """
    if isinstance(alignment, FoundWords):
        return alignment
    if isinstance(alignment, (str, Path)):
        alignment = AlignmentFile(alignment)
    in_file = isinstance(alignment, AlignmentFile)
    rows = read_alignment(*alignment, duration) if in_file else alignment
    try:
        rows = fit_to_audio(rows, duration)
        words = clean_words(rows)
        if not words:
            raise AlignmentError("the alignment contains no words")
        end = _end(rows, duration)
        tile_words(words, end)  # errors name the file
        notes = tuple(adjustments(rows))
        return FoundWords(words, end, GIVEN, rows[-1].end, notes)
    except AlignmentError as error:
        if in_file:
            raise AlignmentError(f"{alignment.path}: {error}") from error
        raise


def _end(rows: list[Word], duration: float) -> float:
    """Return the end of an utterance according to its alignment, in seconds."""
    if not rows:
        return duration
    last = rows[-1]
    closed = not clean_words([last]) or duration - last.end <= END_TOLERANCE
    return last.end if closed else duration


def transcribe_words(
    waveform: torch.Tensor,
    transcriber: Callable,
    aligner: Callable | None = None,
) -> list[Word]:
    """Transcribe a waveform and, optionally, refine the timings with an aligner.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples at the sample rate of both models, ``[samples]``.
    transcriber : callable
        Maps a waveform to a list of Word.
    aligner : callable or None
        Maps a waveform and a transcript to a list of Word; None keeps the
        recognizer's timings.

    Returns
    -------
    list of Word
        Words with the recognizer's scores; without an aligner, its tokens.

    Raises
    ------
    AlignmentError
        If no word is recognized, or the aligner refuses the transcript.
    """
    recognized = transcriber(waveform)
    if aligner is None:
        return recognized
    transcript = " ".join(word.text for word in recognized)
    try:
        aligned = aligner(waveform, transcript)
    except AlignmentError as error:
        raise AlignmentError(
            f"{transcriber.name} recognized {transcript!r}, but {error}"
        ) from error
    notes = [word.note for word in recognized if word.note]
    if notes:
        aligned = [replace(aligned[0], note="; ".join(notes)), *aligned[1:]]
    if len(aligned) != len(recognized):  # numbers are spelled out
        return aligned
    return [replace(a, score=r.score) for a, r in zip(aligned, recognized)]
