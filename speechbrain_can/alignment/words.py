"""Words with timings: cleaning, tiling, fitting to the audio.

All times are seconds from the start of the utterance. ``clean_words`` and
``tile_words`` convert an alignment to a manifest row. Overlap and equal
segmentation are settings of an experiment, applied in ``features.segments``.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Iterable, List, Optional

import numpy as np

from speechbrain_can.alignment.tokens import (
    is_clitic,
    is_unexpected,
    spoken_words,
)
from speechbrain_can.io.files import InputError

# Aligners pad their last window; times may exceed the audio by this much.
END_TOLERANCE = 0.05  # seconds


_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}


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
    note : str or None
        How the reader of a file repaired the times, if it did.
    """

    text: str
    start: float
    end: float
    score: Optional[float] = field(default=None, repr=False, compare=False)
    note: Optional[str] = field(default=None, repr=False, compare=False)


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
    """Return the spoken words of aligned tokens, in lower case without punctuation.

    Pauses and noises are dropped (see ``spoken_words``). The time of a token with
    several words is divided equally. Separate parts of a contraction, such as ``do``
    and ``n't``, become one word.

    Example
    -------
    >>> clean_words([Word("<sil>", 0.0, 0.5), Word("What(2)", 0.5, 0.7)])
    [Word(text='what', start=0.5, end=0.7)]
    >>> clean_words([Word("do", 0.0, 0.5), Word("n't", 0.5, 0.7)])
    [Word(text="don't", start=0.0, end=0.7)]
    """
    cleaned: List[Word] = []
    for word, in_brackets in _with_brackets(words):
        texts = [] if in_brackets else spoken_words(word.text)
        if len(texts) == 1:
            if cleaned and is_clitic(word.text):
                host = cleaned.pop()
                cleaned.append(
                    replace(host, text=host.text + texts[0], end=word.end)
                )
            else:
                cleaned.append(replace(word, text=texts[0]))
            continue
        step = (word.end - word.start) / max(len(texts), 1)
        cleaned.extend(
            replace(
                word,
                text=text,
                start=round(word.start + i * step, 6),
                end=round(word.start + (i + 1) * step, 6),
            )
            for i, text in enumerate(texts)
        )
    return cleaned


def _with_brackets(words: Iterable[Word]) -> list[tuple[Word, bool]]:
    """Return words, and whether each is part of a text in brackets.

    Recognizers divide ``[laughs loudly]`` at spaces. Brackets that are not closed
    within ten words are ignored.
    """
    words = list(words)
    inside = [False] * len(words)
    for i, word in enumerate(words):
        closing = _CLOSING.get(word.text[:1])
        if closing is None or closing in word.text or inside[i]:
            continue
        for j in range(i + 1, min(i + 10, len(words))):
            if words[j].text.rstrip(".,!?").endswith(closing):
                inside[i : j + 1] = [True] * (j + 1 - i)
                break
    return list(zip(words, inside))


def adjustments(words: Iterable[Word]) -> list[str]:
    """Return notes about repaired times, and about tokens that may be speech.

    Example
    -------
    >>> adjustments([Word("<sil>", 0.0, 0.5), Word("[inaudible]", 0.5, 0.7)])
    ["symbol or label left out: '[inaudible]' at 0.5 s"]
    """
    notes = []
    for word, in_brackets in _with_brackets(words):
        if word.note is not None:
            notes.append(word.note)
        if in_brackets or is_unexpected(word.text):
            notes.append(
                f"symbol or label left out: {word.text!r} at {word.start:g} s"
            )
    return notes


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
