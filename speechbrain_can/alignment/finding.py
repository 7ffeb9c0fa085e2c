"""The words of an utterance, from whatever is known of them."""

from pathlib import Path
from typing import List, NamedTuple

import torchaudio

from speechbrain_can.alignment.formats import read_alignment
from speechbrain_can.alignment.transcribe import hear
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
    """What is said in an utterance.

    Arguments
    ---------
    words : list of Word
        Cleaned, with the pauses between them.
    end : float
        Where the utterance ends, in seconds.
    aligned_by : str
        Where the times come from: ``given``, or the names of aligner and
        recogniser.
    """

    words: List[Word]
    end: float
    aligned_by: str

    def tiled(self):
        """The words as a model takes them: they cover the utterance."""
        return tile_words(self.words, self.end)


def find_words(
    waveform,
    sample_rate,
    aligner=None,
    transcriber=None,
    transcript=None,
    alignment=None,
):
    """Words with times: as they are given, aligned, or recognised and aligned.

    Arguments
    ---------
    waveform : torch.Tensor
        Shape ``[samples]``.
    sample_rate : int
        Its rate in Hz.
    aligner : callable or None
        From a waveform and a transcript to a list of Word.
    transcriber : callable or None
        From a waveform to a list of Word.
    transcript : str or None
        What is said.
    alignment : str, Path, list of Word, FoundWords or None
        When it is said: a file that ``read_alignment`` reads, or its content.
        Where its last entry is a pause the utterance ends with it, else with
        the audio, unless that lasts but an aligner's rounding longer.

    Returns
    -------
    FoundWords
        The words.

    Raises
    ------
    AlignmentError
        If the words do not fit the audio, or there is no way to find them.
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
                "there is a transcript and no aligner; give an alignment"
            )
        speech = _resampled(waveform, sample_rate, aligner)
        words, end, how = aligner(speech, transcript), duration, aligner.name
    elif transcriber is not None:
        speech = _resampled(waveform, sample_rate, transcriber)
        words, end = clean_words(hear(speech, transcriber, aligner)), duration
        how = transcriber.name + (f", {aligner.name}" if aligner else "")
    else:
        raise AlignmentError(
            "what is said is not known, and there is no recogniser; give a "
            "transcript or an alignment"
        )
    if not words:
        raise AlignmentError("the alignment has no words")
    return FoundWords(words, end, how)


def _end(rows, duration):
    """Where an utterance ends by its alignment, in seconds."""
    if not rows:
        return duration
    last = rows[-1]
    closed = not clean_words([last]) or duration - last.end <= END_TOLERANCE
    return last.end if closed else duration


def _resampled(waveform, sample_rate, listener):
    return torchaudio.functional.resample(
        waveform, sample_rate, listener.sample_rate
    )
