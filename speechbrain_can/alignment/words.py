"""Words with timings: cleaning, tiling, fitting to the audio.

All times are seconds from the start of the utterance. ``clean_words`` and
``tile_words`` convert an alignment to a manifest row. Overlap and equal
segmentation are settings of an experiment, applied in ``features.segments``.
"""

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Iterable, Optional

import numpy as np

from speechbrain_can.io.files import InputError

# Aligners pad their last window; times may exceed the audio by this much.
END_TOLERANCE = 0.05  # seconds

_SPECIAL = re.compile(r"<.*>|\+\+.*\+\+|\[.*\]|")
_VARIANT = re.compile(r"\(\d+\)$")


class AlignmentError(InputError):
    """Raised for unusable alignments; the message names file and line."""


@dataclass(frozen=True)
class Word:
    """A word, or another aligned unit, with its timing.

    Arguments
    ---------
    text : str
        The word, without whitespace.
    start, end : float
        Seconds; ``end`` is greater than ``start``.
    score : float or None
        Confidence of the aligner or recognizer, 0 to 1.
    """

    text: str
    start: float
    end: float
    score: Optional[float] = field(default=None, repr=False, compare=False)


class Words(Sequence):
    """Compact sequence of words with a tenth of the memory of a list.

    Arguments
    ---------
    words : iterable of Word
        Their scores are not kept.

    Example
    -------
    >>> words = Words([Word("so", 0.0, 0.5), Word("what", 0.5, 1.0)])
    >>> words[1], words.texts
    (Word(text='what', start=0.5, end=1.0), ('so', 'what'))
    """

    __slots__ = ("texts", "times")

    def __init__(self, words: Iterable[Word]):
        words = list(words)
        # Equal words of different utterances share one string.
        self.texts = tuple(sys.intern(word.text) for word in words)
        self.times = np.array(
            [(word.start, word.end) for word in words], dtype=float
        ).reshape(-1, 2)

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return list(self)[i]
        return Word(self.texts[i], *self.times[i].tolist())

    def __eq__(self, other):
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self):
        return repr(list(self))


def texts_of(words: Sequence[Word]) -> tuple[str, ...]:
    """Return the texts of words."""
    if isinstance(words, Words):
        return words.texts
    return tuple(word.text for word in words)


def clean_words(words: Iterable[Word]) -> list[Word]:
    """Drop special and noise tokens and strip pronunciation variants.

    Special tokens are ``<s>``, ``</s>``, ``<sil>`` and all other text in angle
    brackets, square brackets or double plus signs (``++LAUGHTER++``).

    Example
    -------
    >>> clean_words([Word("<sil>", 0.0, 0.5), Word("What(2)", 0.5, 0.7)])
    [Word(text='what', start=0.5, end=0.7)]
    """
    plain = (
        replace(word, text=_VARIANT.sub("", word.text).lower())
        for word in words
    )
    return [word for word in plain if not _SPECIAL.fullmatch(word.text)]


def tile_words(words: Sequence[Word], end: float) -> list[Word]:
    """Extend words so that they cover the whole utterance.

    A gap between two words (a run of special tokens is one gap) is split in
    half; a gap at an edge goes to its only neighbor (section 4.2 of the paper).
    The first word then starts at 0, each word ends where the next one starts, and
    the last one ends at ``end``. Raises ``AlignmentError`` if a word is left
    without time.

    Example
    -------
    >>> tile_words([Word("i", 0.5, 0.7), Word("like", 0.9, 1.0)], end=1.2)
    [Word(text='i', start=0.0, end=0.8), Word(text='like', start=0.8, end=1.2)]
    """
    if not words:
        raise AlignmentError("the alignment contains no words")
    bounds = [0.0]
    for word, following in zip(words[:-1], words[1:]):
        # 1 us is finer than any aligner and prints equally on both sides
        bounds.append(round((word.end + following.start) / 2, 6))
    bounds.append(round(end, 6))
    for word, start, stop in zip(words, bounds[:-1], bounds[1:]):
        if stop <= start:
            raise AlignmentError(
                f"word {word.text!r} has no duration: it would cover "
                f"{start:g} s to {stop:g} s"
            )
    return [
        replace(word, start=start, end=stop)
        for word, start, stop in zip(words, bounds[:-1], bounds[1:])
    ]


def fit_to_audio(
    words: Sequence[Word], duration: float, tolerance: float = END_TOLERANCE
) -> list[Word]:
    """Clip words to the duration of the audio, in seconds.

    Raises ``AlignmentError`` if they exceed it by more than ``tolerance``.
    """
    end = max((word.end for word in words), default=0.0)
    if end > duration + tolerance:
        raise AlignmentError(
            f"the alignment ends at {end:.2f} s but the audio is "
            f"{duration:.2f} s long"
        )
    kept = [
        replace(word, end=min(word.end, duration))
        for word in words
        if word.start < duration
    ]
    if math.isfinite(tolerance) and clean_words(words[len(kept) :]):
        raise AlignmentError(
            f"word {words[-1].text!r} starts after the end of the audio at "
            f"{duration:.2f} s"
        )
    return kept


def equal_words(texts: Sequence[str], duration: float) -> list[Word]:
    """Divide an utterance equally among words.

    Example
    -------
    >>> equal_words(["so", "what"], 1.0)
    [Word(text='so', start=0.0, end=0.5), Word(text='what', start=0.5, end=1.0)]
    """
    bounds = np.round(np.linspace(0, duration, len(texts) + 1), 6).tolist()
    return [Word(*word) for word in zip(texts, bounds[:-1], bounds[1:])]
