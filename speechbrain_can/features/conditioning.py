"""Conditioning of recordings before features are computed.

The silence around speech and the level of a recording depend on how it was cut and
recorded. Conditioning makes both constant, in training and in prediction.
"""

from dataclasses import replace
from typing import Sequence

import numpy as np
import torch

from speechbrain_can.alignment.words import Word

HOP = 0.01  # seconds between the frames of the speech detector
WINDOW = 3  # hops that a frame averages


def frame_power(
    waveform: torch.Tensor, sample_rate: int
) -> tuple[np.ndarray, int]:
    """Return the mean power of frames of 30 ms, and the samples between frames."""
    hop = max(1, round(HOP * sample_rate))
    sums = np.zeros(len(waveform) // hop + (len(waveform) % hop > 0))
    squares = waveform.double().numpy() ** 2
    if len(sums):
        sums = np.add.reduceat(squares, np.arange(0, len(squares), hop))
    padded = np.pad(sums, WINDOW // 2)
    smooth = np.convolve(padded, np.ones(WINDOW) / WINDOW, "valid")
    return smooth / hop, hop


class SpeechConditioning:
    """Set the silence at the edges and the level of a recording.

    Speech is detected by its power relative to the loudest frame, which neither the
    amount of silence nor the level changes.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.
    margin : float or None
        Seconds before the first and after the last speech; longer silence is
        removed, and missing silence is added as zeros. None keeps the edges.
    pause : float or None
        Pauses within speech are shortened to this many seconds; None keeps them.
    level : float or None
        Level of speech in dB relative to full scale; None keeps the level.
    below : float
        Frames are speech if their power is at most this many dB below that of the
        loudest frame.

    Example
    -------
    >>> condition = SpeechConditioning(sample_rate=100, margin=0.1)
    >>> waveform = torch.cat(
    ...     [torch.zeros(50), torch.ones(100), torch.zeros(80)]
    ... )
    >>> conditioned, words = condition(waveform, [Word("oh", 0.0, 2.3)])
    >>> len(conditioned), words  # frames at the edges include a little silence
    (122, [Word(text='oh', start=0.0, end=1.22)])
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        margin: float | None = 0.1,
        pause: float | None = None,
        level: float | None = -26.0,
        below: float = 35.0,
    ):
        self.sample_rate = sample_rate
        self.margin = margin
        self.pause = pause
        self.level = level
        self.below = below

    def __repr__(self):
        settings = ", ".join(f"{k}={v}" for k, v in vars(self).items())
        return f"SpeechConditioning({settings})"

    def __call__(
        self, waveform: torch.Tensor, words: Sequence[Word]
    ) -> tuple[torch.Tensor, list[Word]]:
        """Condition a waveform ``[samples]`` and move its words.

        ``words`` tile the utterance. Their number and order do not change, and they
        tile the returned waveform. Audio after the last word is removed. A waveform
        without any power is returned unchanged.
        """
        end = min(len(waveform), round(words[-1].end * self.sample_rate))
        power, hop = frame_power(waveform[:end], self.sample_rate)
        loudest = power.max() if len(power) else 0
        if not loudest > 0:
            return waveform, list(words)
        speech = power > loudest * 10 ** (-self.below / 10)
        waveform = waveform[:end]
        if self.level is not None:
            gain = 10 ** (self.level / 20) / np.sqrt(power[speech].mean())
            waveform = waveform * float(gain)
        first, last = np.flatnonzero(speech)[[0, -1]]
        start, stop = first * hop, min((last + 1) * hop, end)
        before = after = 0
        if self.margin is not None:
            margin = round(self.margin * self.sample_rate)
            before, after = max(margin - start, 0), max(stop + margin - end, 0)
            start, stop = max(start - margin, 0), min(stop + margin, end)
        else:
            start, stop = 0, end
        kept = np.array([[start, stop]])
        if self.pause is not None:
            kept = self._without_pauses(speech, hop, first, last, start, stop)
        pieces = [waveform[a:b] for a, b in kept]
        pieces = [
            waveform.new_zeros(before),
            *pieces,
            waveform.new_zeros(after),
        ]
        conditioned = torch.cat(pieces)
        return conditioned, self._moved(words, kept, before, len(conditioned))

    def _without_pauses(self, speech, hop, first, last, start, stop):
        """Return the spans ``[spans, 2]`` in samples that remain of a recording."""
        inside = speech[first : last + 1].astype(np.int8)
        edges = np.flatnonzero(np.diff(inside)) + 1 + first
        pauses = edges.reshape(-1, 2) * hop  # speech at both ends
        longest = round(self.pause * self.sample_rate)
        removed = pauses[:, 1] - pauses[:, 0] - longest
        pauses = pauses[removed > 0]
        half = longest // 2
        cuts = np.stack(
            [pauses[:, 0] + half, pauses[:, 1] - (longest - half)], axis=1
        )
        bounds = np.concatenate([[start], cuts.ravel(), [stop]])
        return bounds.reshape(-1, 2)

    def _moved(self, words, kept, before, length):
        """Return the words with their times in the conditioned waveform."""
        lengths = kept[:, 1] - kept[:, 0]
        ends = before + np.cumsum(lengths)
        moved = np.stack([ends - lengths, ends], axis=1)
        bounds = np.array([word.start for word in words[1:]])
        inner = np.interp(
            bounds * self.sample_rate, kept.ravel(), moved.ravel()
        )
        inner = _increasing(inner, length)
        times = np.concatenate([[0], inner, [length]]) / self.sample_rate
        return [
            replace(word, start=float(a), end=float(b))
            for word, a, b in zip(words, times[:-1], times[1:])
        ]


def _increasing(bounds: np.ndarray, length: int) -> np.ndarray:
    """Return bounds between words that differ, and differ from 0 and ``length``.

    Words in silence that was removed would have no duration otherwise.
    """
    steps = np.arange(1, len(bounds) + 1)
    shortest = min(1.0, length / (len(bounds) + 1))  # samples
    bounds = np.maximum.accumulate(bounds - shortest * steps).clip(0)
    bounds = np.minimum(bounds, length - shortest * (len(bounds) + 1))
    return bounds + shortest * steps
