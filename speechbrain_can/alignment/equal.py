"""Segments of equal length, where a transcript has no times and none are wanted."""

from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import equal_words


class EqualSegments:
    """Gives every word the same time: an aligner that does not listen.

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

    def __call__(self, waveform, transcript):
        """Cuts a waveform ``[samples]`` into as many parts as there are words."""
        return equal_words(
            split_words(transcript), len(waveform) / self.sample_rate
        )
