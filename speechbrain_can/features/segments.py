"""Segmentation of utterances, aligned with words or not.

All times are seconds from the start of the utterance.
"""

from typing import Sequence

import numpy as np
import torch


def aligned_segments(words: Sequence, overlap: float = 0.1) -> np.ndarray:
    """Return one segment per word (section 3.1.2).

    The paper uses "10% overlap" of neighboring segments without further
    definition. Here, each segment is extended by ``overlap / 2`` of its duration on
    both sides and clipped to the utterance.

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance.
    overlap : float
        Extension of a segment as a share of its duration.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, ``[words, 2]``.

    Example
    -------
    >>> from types import SimpleNamespace as Word
    >>> words = [Word(start=0.0, end=1.0), Word(start=1.0, end=3.0)]
    >>> aligned_segments(words, overlap=0.2)
    array([[0. , 1.1],
           [0.8, 3. ]])
    """
    bounds = np.array([(word.start, word.end) for word in words], dtype=float)
    return _widened(bounds, overlap)


def equal_segments(words: Sequence, overlap: float = 0.1) -> np.ndarray:
    """Return as many segments of equal length as there are words (Table 3).

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance; only their number and bounds matter.
    overlap : float
        See ``aligned_segments``.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, ``[words, 2]``.

    Example
    -------
    >>> from types import SimpleNamespace as Word
    >>> words = [Word(start=0.0, end=1.0), Word(start=1.0, end=3.0)]
    >>> equal_segments(words, overlap=0)
    array([[0. , 1.5],
           [1.5, 3. ]])
    """
    bounds = np.linspace(words[0].start, words[-1].end, len(words) + 1)
    return _widened(np.stack([bounds[:-1], bounds[1:]], axis=1), overlap)


def _widened(bounds, overlap):
    starts, ends = bounds.T
    margin = overlap / 2 * (ends - starts)
    widened = np.stack([starts - margin, ends + margin], axis=1)
    return widened.clip(starts[0], ends[-1])


def whole_utterance(words: Sequence) -> np.ndarray:
    """Return a single segment, for encoders that do not use word timings.

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance.

    Returns
    -------
    numpy.ndarray
        Start and end in seconds, ``[1, 2]``.

    Example
    -------
    >>> from types import SimpleNamespace as Word
    >>> words = [Word(start=0.0, end=1.0), Word(start=1.0, end=3.0)]
    >>> whole_utterance(words)
    array([[0., 3.]])
    """
    return np.array([[words[0].start, words[-1].end]], dtype=float)


def segment_samples(
    segments: np.ndarray | torch.Tensor, sample_rate: int, n_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first sample and the number of samples of each segment, ``[words]``.

    ``segments`` ``[words, 2]`` are in seconds and are clipped to ``n_samples``.

    Example
    -------
    >>> segment_samples(np.array([[0.0, 0.5], [0.5, 1.2]]), 10, 11)
    (array([0, 5]), array([5, 6]))
    """
    bounds = np.rint(np.asarray(segments, dtype=np.float64) * sample_rate)
    starts, ends = bounds.astype(np.int64).clip(0, n_samples).T
    return starts, np.maximum(ends - starts, 0)
