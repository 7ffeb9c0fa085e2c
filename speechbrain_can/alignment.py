"""Words with their times: reading alignments, cleaning, tiling, segmenting.

All times are seconds from the start of the utterance. An alignment becomes a
manifest row in two steps, ``clean_words`` and ``tile_words``; overlap and equal
segmentation belong to the experiment and are applied when segments are cut,
by ``aligned_segments`` or ``equal_segments``.

Authors
 * The speechbrain-can developers 2026
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SPHINX_FRAME_RATE = 100  # frames a second in a .wdseg file
# An aligner pads its last window: times this far past the audio are rounding.
END_TOLERANCE = 0.05  # seconds

_SPECIAL = re.compile(r"<.*>|\+\+.*\+\+|\[.*\]|")
_VARIANT = re.compile(r"\(\d+\)$")


class AlignmentError(ValueError):
    """An alignment file that cannot be used; the message names file and line."""


@dataclass(frozen=True)
class Word:
    """A word, or another aligned unit, and the time it covers.

    Arguments
    ---------
    text : str
        The word, without white space.
    start : float
        Start in seconds.
    end : float
        End in seconds, greater than ``start``.
    """

    text: str
    start: float
    end: float


def read_wdseg(path):
    """Reads a ``.wdseg`` file of the Sphinx-3 aligner, as IEMOCAP ships them.

    Frames last 10 ms and both frame numbers are inclusive, so a row ends at
    ``(EFrm + 1) / 100`` seconds.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    list of Word
        Every row, special tokens included, in order.

    Raises
    ------
    AlignmentError
        If the file is empty, truncated, or has an impossible row.

    Example
    -------
    >>> path = getfixture("tmpdir") / "apple.wdseg"
    >>> _ = path.write(
    ...     " SFrm EFrm SegAScr Word\\n 0 51 -9 <s>\\n 52 75 -9 i(2)\\n"
    ...     " Total score: -18\\n"
    ... )
    >>> read_wdseg(path)
    [Word(text='<s>', start=0.0, end=0.52), Word(text='i(2)', start=0.52, end=0.76)]
    """
    lines = _numbered_lines(path)
    if not lines:
        raise AlignmentError(f"{path}: the alignment is empty")
    number, header = lines[0]
    if header.split() != ["SFrm", "EFrm", "SegAScr", "Word"]:
        raise AlignmentError(
            f"{path}, line {number}: expected the header "
            f"'SFrm EFrm SegAScr Word', found {header.strip()!r}"
        )
    if not lines[-1][1].strip().startswith("Total score:"):
        raise AlignmentError(
            f"{path}, line {lines[-1][0]}: truncated, the file does not end "
            "with 'Total score:'"
        )
    words = []
    for number, line in lines[1:-1]:
        fields = line.split()
        try:
            first, last = int(fields[0]), int(fields[1])
            text = fields[3]
        except (IndexError, ValueError):
            raise AlignmentError(
                f"{path}, line {number}: expected 'SFrm EFrm SegAScr Word', "
                f"found {line.strip()!r}"
            )
        word = Word(
            text, first / SPHINX_FRAME_RATE, (last + 1) / SPHINX_FRAME_RATE
        )
        _check_order(path, number, words, word)
        words.append(word)
    return words


def read_xlabel(path):
    """Reads an ESPS xlabel file (EmoDB's ``.labsilb``): the end of each label.

    Labels without a letter (empty, ``.``, ``(``) are pauses; they are returned
    as ``<sil>`` so that ``clean_words`` treats them as it treats an aligner's
    silences. What follows the label (EmoDB's stress marks) is dropped, and so
    is a label that ends with the one before it: it has no time of its own.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    list of Word
        Every label, pauses included, in order.

    Raises
    ------
    AlignmentError
        If the file is empty, has no ``#`` line, or has an impossible row.
    """
    lines = _numbered_lines(path)
    if not lines:
        raise AlignmentError(f"{path}: the alignment is empty")
    header_end = [i for i, (_, line) in enumerate(lines) if line.strip() == "#"]
    if not header_end:
        raise AlignmentError(f"{path}: truncated, no '#' line ends the header")
    words, start = [], 0.0
    for number, line in lines[header_end[0] + 1 :]:
        fields = line.split(None, 2)
        try:
            end = float(fields[0])
        except ValueError:
            raise AlignmentError(
                f"{path}, line {number}: expected 'end colour label', "
                f"found {line.strip()!r}"
            )
        label = (fields[2].split() if len(fields) > 2 else [""])[0]
        if words and end == start:
            continue
        spoken = any(character.isalpha() for character in label)
        word = Word(label if spoken else "<sil>", start, end)
        _check_order(path, number, words, word)
        words.append(word)
        start = end
    if not words:
        raise AlignmentError(f"{path}: truncated, no label after the header")
    return words


def decode(content):
    """Text of a corpus file: UTF-8, or Latin-1 as older corpora have it.

    Arguments
    ---------
    content : bytes
        The file.

    Returns
    -------
    str
        Its text.

    Example
    -------
    >>> decode("tü".encode("utf-8")) == decode("tü".encode("latin-1"))
    True
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _numbered_lines(path):
    lines = enumerate(decode(Path(path).read_bytes()).splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _check_order(path, number, words, word):
    if word.end <= word.start:
        raise AlignmentError(
            f"{path}, line {number}: {word.text!r} ends at {word.end:g} s, "
            f"not after its start at {word.start:g} s"
        )
    if words and word.start < words[-1].start:
        raise AlignmentError(
            f"{path}, line {number}: {word.text!r} starts at {word.start:g} s, "
            f"before the word above it at {words[-1].start:g} s"
        )


def clean_words(words):
    """Drops special and noise tokens and strips pronunciation variants.

    Special tokens are ``<s>``, ``</s>``, ``<sil>`` and whatever else stands in
    angle brackets, square brackets or double plus signs (``++LAUGHTER++``).

    Arguments
    ---------
    words : list of Word
        An alignment.

    Returns
    -------
    list of Word
        The words that were spoken, in lower case, with their own times.

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


def tile_words(words, end):
    """Shares the time between words so that they cover the whole utterance.

    The gap between two words (a run of special tokens is one gap) is split in
    two equal halves; a gap at an edge goes to its only neighbour (section 4.2 of
    the paper). Afterwards the first word starts at 0, each word ends where the
    next one starts, and the last ends at ``end``.

    Arguments
    ---------
    words : list of Word
        Cleaned words in order.
    end : float
        End of the utterance in seconds: the last frame's end of its alignment.

    Returns
    -------
    list of Word
        The same words, tiling ``[0, end]``.

    Raises
    ------
    AlignmentError
        If there is no word, or two words overlap so far that one would be
        left without time.

    Example
    -------
    >>> tile_words([Word("i", 0.5, 0.7), Word("like", 0.9, 1.0)], end=1.2)
    [Word(text='i', start=0.0, end=0.8), Word(text='like', start=0.8, end=1.2)]
    """
    if not words:
        raise AlignmentError("the alignment has no words")
    bounds = [0.0]
    for word, following in zip(words[:-1], words[1:]):
        # 1 us: finer than any aligner, and prints the same on both sides
        bounds.append(round((word.end + following.start) / 2, 6))
    bounds.append(round(end, 6))
    for word, start, stop in zip(words, bounds[:-1], bounds[1:]):
        if stop <= start:
            raise AlignmentError(
                f"{word.text!r} is left without time: it would cover "
                f"{start:g} s to {stop:g} s"
            )
    return [
        Word(word.text, start, stop)
        for word, start, stop in zip(words, bounds[:-1], bounds[1:])
    ]


def fit_to_audio(words, duration, tolerance=END_TOLERANCE):
    """Clips an alignment to the audio, which it may outlast by a little.

    Arguments
    ---------
    words : list of Word
        An alignment.
    duration : float
        Length of the audio in seconds.
    tolerance : float
        How far past the audio the alignment may go, in seconds; infinite for
        recordings that are known to be cut.

    Returns
    -------
    list of Word
        The alignment, no time past ``duration``.

    Raises
    ------
    AlignmentError
        If the alignment goes further, or a word would be lost.
    """
    end = max((word.end for word in words), default=0.0)
    if end > duration + tolerance:
        raise AlignmentError(
            f"the alignment ends at {end:.2f} s, the audio at {duration:.2f} s"
        )
    kept = [
        replace(word, end=min(word.end, duration))
        for word in words
        if word.start < duration
    ]
    if math.isfinite(tolerance) and clean_words(words[len(kept) :]):
        raise AlignmentError(
            f"{words[-1].text!r} starts after the end of the audio at "
            f"{duration:.2f} s"
        )
    return kept


def equal_words(texts, duration):
    """Words that share an utterance in equal parts, where no times are known.

    Arguments
    ---------
    texts : list of str
        The words.
    duration : float
        Length of the utterance in seconds.

    Returns
    -------
    list of Word
        The words, tiling ``[0, duration]``.

    Example
    -------
    >>> equal_words(["so", "what"], 1.0)
    [Word(text='so', start=0.0, end=0.5), Word(text='what', start=0.5, end=1.0)]
    """
    bounds = np.round(np.linspace(0, duration, len(texts) + 1), 6).tolist()
    return [Word(*word) for word in zip(texts, bounds[:-1], bounds[1:])]


def aligned_segments(starts, ends, overlap=0.1):
    """Segments of an utterance that follow its words (section 3.1.2).

    The paper gives neighbouring segments "10% overlap" and leaves the reading
    open. Here each segment is widened by ``overlap / 2`` of its own duration on
    both sides and clipped to the utterance.

    Arguments
    ---------
    starts, ends : array_like
        Tiled times of the words in seconds, shape ``[words]``.
    overlap : float
        Share of its own duration by which a segment grows.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, shape ``[words, 2]``.

    Example
    -------
    >>> aligned_segments([0.0, 1.0], [1.0, 3.0], overlap=0.2)
    array([[0. , 1.1],
           [0.8, 3. ]])
    """
    starts, ends = np.asarray(starts, float), np.asarray(ends, float)
    margin = overlap / 2 * (ends - starts)
    bounds = np.stack([starts - margin, ends + margin], axis=1)
    return bounds.clip(starts[0], ends[-1])


def equal_segments(starts, ends, overlap=0.1):
    """As many segments as there are words, all of equal length (Table 3).

    Arguments
    ---------
    starts, ends : array_like
        Tiled times of the words in seconds, shape ``[words]``; only their
        number and the end of the last one matter.
    overlap : float
        As in ``aligned_segments``.

    Returns
    -------
    numpy.ndarray
        Start and end of each segment in seconds, shape ``[words, 2]``.

    Example
    -------
    >>> equal_segments([0.0, 1.0], [1.0, 3.0], overlap=0)
    array([[0. , 1.5],
           [1.5, 3. ]])
    """
    bounds = np.linspace(starts[0], ends[-1], len(starts) + 1)
    return aligned_segments(bounds[:-1], bounds[1:], overlap)


def whole_utterance(starts, ends):
    """One segment, the utterance: for encoders that do not hear words.

    Arguments
    ---------
    starts, ends : array_like
        Tiled times of the words in seconds, shape ``[words]``.

    Returns
    -------
    numpy.ndarray
        Start and end in seconds, shape ``[1, 2]``.

    Example
    -------
    >>> whole_utterance([0.0, 1.0], [1.0, 3.0])
    array([[0., 3.]])
    """
    return np.array([[starts[0], ends[-1]]], dtype=float)
