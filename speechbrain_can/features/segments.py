"""Segments of an utterance, which follow its words or do not.

All times are seconds from the start of the utterance."""

import numpy as np


def aligned_segments(words, overlap=0.1):
    """Segments of an utterance that follow its words (section 3.1.2).

    The paper gives neighbouring segments "10% overlap" and leaves the reading
    open. Here each segment is widened by ``overlap / 2`` of its own duration on
    both sides and clipped to the utterance.

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance, each with ``start`` and ``end`` in
        seconds.
    overlap : float
        Share of its own duration by which a segment grows.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, shape ``[words, 2]``.

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


def equal_segments(words, overlap=0.1):
    """As many segments as there are words, all of equal length (Table 3).

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance; only their number and its bounds matter.
    overlap : float
        As in ``aligned_segments``.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, shape ``[words, 2]``.

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


def whole_utterance(words):
    """One segment, the utterance: for encoders that do not hear words.

    Arguments
    ---------
    words : list of Word
        Words that tile the utterance.

    Returns
    -------
    numpy.ndarray
        Start and end in seconds, shape ``[1, 2]``.

    Example
    -------
    >>> from types import SimpleNamespace as Word
    >>> words = [Word(start=0.0, end=1.0), Word(start=1.0, end=3.0)]
    >>> whole_utterance(words)
    array([[0., 3.]])
    """
    return np.array([[words[0].start, words[-1].end]], dtype=float)


def segment_samples(segments, sample_rate, n_samples):
    """First sample and number of samples of each segment, ``[words]`` both.

    ``segments`` are seconds, ``[words, 2]``; none reaches beyond ``n_samples``.

    Example
    -------
    >>> segment_samples(np.array([[0.0, 0.5], [0.5, 1.2]]), 10, 11)
    (array([0, 5]), array([5, 6]))
    """
    bounds = np.rint(np.asarray(segments, dtype=np.float64) * sample_rate)
    starts, ends = bounds.astype(np.int64).clip(0, n_samples).T
    return starts, np.maximum(ends - starts, 0)
