"""Comparison of sentences: normalization and near-duplicates."""

import re
import unicodedata
from typing import Iterable

import numpy as np
from rapidfuzz import fuzz, process
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from speechbrain_can.alignment.words import texts_of
from speechbrain_can.corpus.manifest import Utterance

# Shorter sentences ("yeah", "oh no") are equal by chance. Scripts without spaces
# are measured in characters.
MIN_WORDS, MIN_CHARACTERS = 3, 6
_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")
# Threshold of rapidfuzz's ratio: about ten of a hundred characters differ
NEARLY = 90
BLOCK = 256  # sentences per block of comparisons


def sentence_of(utterance: Utterance) -> str:
    """Return the transcription, or the words, in lower case without punctuation.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> sentence_of(SimpleNamespace(transcription="Oh, I don't  KNOW!"))
    "oh i don't know"
    >>> sentence_of(SimpleNamespace(transcription="हिन्दी में?")).split()
    ['हिन्दी', 'में']
    """
    text = utterance.transcription or " ".join(texts_of(utterance.words))
    text = unicodedata.normalize("NFC", text.lower())
    kept = (
        c if c == "'" or unicodedata.category(c)[0] in "LMN" else " "
        for c in text
    )
    return " ".join("".join(kept).split())


def is_long(sentence: str) -> bool:
    """Return whether a sentence is too long to be repeated by chance.

    Example
    -------
    >>> is_long("oh no"), is_long("do it again"), is_long("我今天去学校")
    (False, True, True)
    """
    if _WITHOUT_SPACES.search(sentence):
        return len(sentence) >= MIN_CHARACTERS
    return len(sentence.split()) >= MIN_WORDS


def group_near(sentences: Iterable[str]) -> dict[str, int]:
    """Assign near-duplicate sentences to the same group.

    Sentences are near-duplicates if rapidfuzz's ratio is at least ``NEARLY``, also
    transitively. Sentences that are not ``is_long`` form their own groups.

    Arguments
    ---------
    sentences : iterable of str
        In any order, possibly with repetitions.

    Returns
    -------
    dict of str: int
        Group number by sentence.

    Example
    -------
    >>> groups = group_near(
    ...     ["i will not do it again", "i will not do it, again", "well"]
    ... )
    >>> len(set(groups.values()))
    2
    """
    # Sorted by length: sentences of very different lengths cannot match.
    unique = sorted(set(sentences), key=lambda text: (len(text), text))
    lengths = np.array([len(text) for text in unique])
    long = np.array([is_long(text) for text in unique])
    factor = NEARLY / (200 - NEARLY)
    rows, columns = [], []
    for begin in range(0, len(unique), BLOCK):
        end = min(begin + BLOCK, len(unique))
        first = np.searchsorted(lengths, lengths[begin] * factor)
        similarity = process.cdist(
            unique[begin:end],
            unique[first:end],
            scorer=fuzz.ratio,
            score_cutoff=NEARLY,
            dtype=np.uint8,
            workers=-1,
        )
        near = np.argwhere(similarity)
        rows.append(near[:, 0] + begin)
        columns.append(near[:, 1] + first)
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    pairs = long[rows] & long[columns]
    edges = coo_matrix(
        (np.ones(pairs.sum()), (rows[pairs], columns[pairs])),
        shape=(len(unique), len(unique)),
    )
    _, groups = connected_components(edges, directed=False)
    return dict(zip(unique, groups.tolist()))
