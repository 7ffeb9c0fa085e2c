"""Utterances with their features, and long recordings that are split at pauses."""

from dataclasses import replace
from typing import Callable, List, NamedTuple, Tuple

import torch

from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.alignment.vad import speech_spans
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.io.audio import resample
from speechbrain_can.lobes.ragged import WordFrames

SPEECH_RATE = 16000  # Hz, the rate of Silero VAD


class EncodedUtterance(NamedTuple):
    """Features of an utterance, from which a model predicts.

    Arguments
    ---------
    path : str
        The recording; empty for waveforms.
    seconds : float
        Duration.
    found : FoundWords
        Words, relative to the start of the utterance.
    frames : torch.Tensor
        Features that are not normalized, ``[frames, features]``.
    counts : torch.Tensor
        Frames of each word, ``[words]``.
    start : float
        Start in the recording in seconds.
    warnings : tuple of str
        Measures outside the usual range of the training set.
    """

    path: str
    seconds: float
    found: FoundWords
    frames: torch.Tensor
    counts: torch.Tensor
    start: float = 0.0
    warnings: Tuple[str, ...] = ()


class SplitRecording(NamedTuple):
    """Utterances of a long recording.

    Arguments
    ---------
    utterances : list of EncodedUtterance
        In temporal order.
    skipped : list of (float, float, str)
        Start and end (seconds) of speech that could not be encoded, and the reason.
    adjustments : tuple of str
        Repaired word timings, and text that was left out.
    """

    utterances: List[EncodedUtterance]
    skipped: List[Tuple[float, float, str]]
    adjustments: Tuple[str, ...] = ()


def frames_of(utterances: list[EncodedUtterance]) -> WordFrames:
    """Return the frames of utterances as a batch."""
    return WordFrames(
        frames=torch.cat([each.frames for each in utterances]),
        frame_counts=torch.cat([each.counts for each in utterances]),
        word_counts=torch.tensor([len(each.counts) for each in utterances]),
    )


def split_recording(
    waveform: torch.Tensor,
    sample_rate: int,
    encode: Callable,
    whole: FoundWords | None,
    longest: float,
) -> SplitRecording:
    """Split a waveform ``[samples]`` at pauses and encode each utterance.

    ``encode`` maps the waveform of an utterance and its words, or None if they are
    unknown, to an ``EncodedUtterance``. ``whole`` contains the words of the whole
    recording, if they are known; ``longest`` is the maximum length of an utterance in
    seconds.
    """
    speech = resample(waveform, sample_rate, SPEECH_RATE)
    spans = speech_spans(speech, SPEECH_RATE, longest)
    known = {}
    if whole is not None:
        spans, known = _assign_words(whole, spans)
    utterances, skipped = [], []
    for start, end in spans:
        first, last = (round(t * sample_rate) for t in (start, end))
        try:
            encoded = encode(waveform[first:last], known.get(start))
        except AlignmentError as error:
            skipped.append((start, end, str(error)))
        else:
            utterances.append(encoded._replace(start=start))
    adjustments = () if whole is None else whole.adjustments
    return SplitRecording(utterances, skipped, adjustments)


def _assign_words(
    whole: FoundWords, spans: list[tuple[float, float]]
) -> tuple[list[tuple[float, float]], dict[float, FoundWords]]:
    """Assign words to the nearest span of speech.

    Returns the spans, widened to contain their words, and the words of each span
    by its start, with times relative to it. Spans without words are dropped, as
    the transcript is assumed to be complete.
    """
    middles = [(word.start + word.end) / 2 for word in whole.words]
    # If no speech was detected, use one span.
    spans = spans or [(0.0, whole.end)]
    owners = [
        min(
            range(len(spans)),
            key=lambda i: max(spans[i][0] - middle, middle - spans[i][1]),
        )
        for middle in middles
    ]
    widened, known = [], {}
    for i, (start, end) in enumerate(spans):
        words = [w for w, owner in zip(whole.words, owners) if owner == i]
        if not words:
            continue
        # Do not overlap the previous span.
        before = widened[-1][1] if widened else 0.0
        start = max(before, min(start, words[0].start))
        end = max(end, words[-1].end)
        widened.append((start, end))
        known[start] = FoundWords(
            [
                replace(
                    word,
                    start=max(0.0, word.start - start),
                    end=word.end - start,
                )
                for word in words
            ],
            end - start,
            whole.aligned_by,
        )
    return widened, known
