"""From a transcript as people write it to the words that are spoken."""

import re
import unicodedata

from speechbrain_can.alignment.words import AlignmentError

_MARKUP = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+\w+\+\+")
# the last two are those of Windows, read as Latin-1
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘`´\x91\x92", "'"))
_CURRENCY = re.compile(r"([$€£])\s*(\d[\d,.]*\d|\d)")
_SYMBOLS = {
    "&": "and",
    "%": "percent",
    "$": "dollars",
    "€": "euros",
    "£": "pounds",
    "@": "at",
    "+": "plus",
    "=": "equals",
}
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)?")


def split_words(transcript):
    """Words of a transcript in any language, in lower case.

    Punctuation, emoji and what stands in angle or square brackets (``[laughs]``)
    are left out, apostrophes within a word stay.

    Raises ``AlignmentError`` if nothing is left.

    Example
    -------
    >>> split_words("Oh, I’m FINE – [sighs] really!")
    ['oh', "i'm", 'fine', 'really']
    """
    text = unicodedata.normalize("NFC", transcript).translate(_APOSTROPHES)
    text = _MARKUP.sub(" ", text).lower()
    letters = (
        c if unicodedata.category(c)[0] in "LMN" or c == "'" else " "
        for c in text
    )
    words = [word.strip("'") for word in "".join(letters).split()]
    words = [word for word in words if word]
    if not words:
        raise AlignmentError(f"the transcript {transcript!r} has no words")
    return words


def english_words(transcript):
    """Words of an English transcript as they are spoken, in lower case.

    As ``split_words``, and numbers and signs such as ``%`` are spelled out.

    Raises
    ------
    AlignmentError
        If nothing is left, or words are not in Latin letters.
    ImportError
        If there are numbers and inflect is not installed.

    Example
    -------
    >>> english_words("Platform 9: $5, well-known.")
    ['platform', 'nine', 'five', 'dollars', 'well', 'known']
    """
    text = _MARKUP.sub(" ", transcript)
    text = _CURRENCY.sub(r"\2 \1", text)
    text = _NUMBER.sub(lambda match: f" {_spell_out(match[0])} ", text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, f" {word} ")
    words = split_words(text)
    foreign = [word for word in words if not _is_latin(word)]
    if foreign:
        raise AlignmentError(
            f"not in Latin letters: {', '.join(foreign)}; this aligner knows "
            "English only, so take alignment.ctc.CTCAligner with a model of "
            "that language"
        )
    return words


def _spell_out(number):
    try:
        import inflect
    except ImportError as error:
        raise ImportError(
            "spelling out numbers needs inflect (pip install "
            "'speechbrain_can[align]')"
        ) from error
    plain = number.replace(",", "")
    try:
        return inflect.engine().number_to_words(plain, andword="")
    except inflect.NumOutOfRangeError:  # as one reads out a long code
        return inflect.engine().number_to_words(plain, group=1, comma="")


def _is_latin(word):
    return all(
        unicodedata.name(c, "").startswith("LATIN") for c in word if c.isalpha()
    )
