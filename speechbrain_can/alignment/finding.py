"""Words of an utterance from an alignment, a transcript, or the audio only."""

from pathlib import Path
from typing import Callable, List, NamedTuple

import torch
import torchaudio

from speechbrain_can.alignment.formats import read_alignment
from speechbrain_can.alignment.transcribe import transcribe_words
from speechbrain_can.alignment.words import (
    END_TOLERANCE,
    AlignmentError,
    Word,
    clean_words,
    fit_to_audio,
    tile_words,
)

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
    """

    words: List[Word]
    end: float
    aligned_by: str

    def tiled(self) -> List[Word]:
        """Return words that cover the whole utterance, as models expect them."""
        return tile_words(self.words, self.end)


def find_words(
    waveform: torch.Tensor,
    sample_rate: int,
    aligner: Callable | None = None,
    transcriber: Callable | None = None,
    transcript: str | None = None,
    alignment: str | Path | list[Word] | FoundWords | None = None,
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
    alignment : str, Path, list of Word, FoundWords or None
        Word timings, or a file that ``read_alignment`` reads. If its last entry
        is a pause, or ends within an aligner's rounding of the audio's end, the
        utterance ends with it; otherwise it ends with the audio.

    Returns
    -------
    FoundWords
        The words.

    Raises
    ------
    AlignmentError
        If the words do not match the audio, or neither transcript, alignment
        nor recognizer is available.
    """
    duration = len(waveform) / sample_rate
    if isinstance(alignment, FoundWords):
        return alignment
    if alignment is not None:
        rows = alignment
        if isinstance(alignment, (str, Path)):
            rows = read_alignment(alignment)
        rows = fit_to_audio(rows, duration)
        words, end, how = clean_words(rows), _end(rows, duration), GIVEN
    elif transcript is not None:
        if aligner is None:
            raise AlignmentError(
                "a transcript needs an aligner. Configure one or provide an "
                "alignment."
            )
        speech = _resampled(waveform, sample_rate, aligner)
        words, end, how = aligner(speech, transcript), duration, aligner.name
    elif transcriber is not None:
        speech = _resampled(waveform, sample_rate, transcriber)
        words, end = (
            clean_words(transcribe_words(speech, transcriber, aligner)),
            duration,
        )
        how = transcriber.name + (f", {aligner.name}" if aligner else "")
    else:
        raise AlignmentError(
            "the words are unknown and no speech recognizer is configured. "
            "Provide a transcript or an alignment."
        )
    if not words:
        raise AlignmentError("the alignment contains no words")
    return FoundWords(words, end, how)


def _end(rows: list[Word], duration: float) -> float:
    """Return the end of an utterance according to its alignment, in seconds."""
    if not rows:
        return duration
    last = rows[-1]
    closed = not clean_words([last]) or duration - last.end <= END_TOLERANCE
    return last.end if closed else duration


def _resampled(waveform, sample_rate, model):
    return torchaudio.functional.resample(
        waveform, sample_rate, model.sample_rate
    )
