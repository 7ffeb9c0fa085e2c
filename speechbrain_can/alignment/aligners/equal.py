"""Segments of equal length instead of an alignment."""

import torch

from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import Word, equal_words


class EqualSegments:
    """Aligner that divides the audio equally among the words.

    Example
    -------
    >>> import torch
    >>> EqualSegments()(torch.zeros(16000), "So what?")
    [Word(text='so', start=0.0, end=0.5), Word(text='what', start=0.5, end=1.0)]
    """

    name = "equal segments"
    sample_rate = 16000

    def __repr__(self):
        return "EqualSegments()"

    def __call__(self, waveform: torch.Tensor, transcript: str) -> list[Word]:
        """Divide a waveform ``[samples]`` into as many segments as there are words."""
        return equal_words(
            split_words(transcript), len(waveform) / self.sample_rate
        )
