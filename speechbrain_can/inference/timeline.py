"""Predictions over time: long recordings, split at pauses."""

from dataclasses import replace
from typing import Callable

import torch

from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.alignment.vad import speech_spans
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.inference.prediction import Prediction, Timeline
from speechbrain_can.io.audio import resample

SPEECH_RATE = 16000  # Hz, the rate of Silero VAD


def predict_timeline(
    waveform: torch.Tensor,
    sample_rate: int,
    predict: Callable,
    whole: FoundWords | None,
    longest: float,
) -> Timeline:
    """Split a waveform ``[samples]`` at pauses and predict each utterance.

    ``predict`` maps the waveform of an utterance and its words, or None if they are
    unknown, to a ``Prediction``. ``whole`` contains the words of the whole recording,
    if they are known; ``longest`` is the maximum length of an utterance in seconds.
    """
    speech = resample(waveform, sample_rate, SPEECH_RATE)
    spans = speech_spans(speech, SPEECH_RATE, longest)
    known = {}
    if whole is not None:
        spans, known = _assign_words(whole, spans)
    predictions, skipped = [], []
    for start, end in spans:
        first, last = (round(t * sample_rate) for t in (start, end))
        try:
            prediction = predict(waveform[first:last], known.get(start))
        except AlignmentError as error:
            skipped.append((start, end, str(error)))
        else:
            predictions.append(_later(prediction, start))
    return Timeline(predictions, skipped)


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


def _later(prediction: Prediction, seconds: float) -> Prediction:
    """Shift the times of a prediction."""
    return replace(
        prediction,
        start=prediction.start + seconds,
        end=prediction.end + seconds,
        words=[
            replace(
                word,
                start=round(word.start + seconds, 6),
                end=round(word.end + seconds, 6),
            )
            for word in prediction.words
        ],
    )
