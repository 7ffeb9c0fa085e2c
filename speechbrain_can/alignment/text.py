"""Normalization of written transcripts to spoken words."""

import re
import unicodedata

from speechbrain_can.alignment.words import AlignmentError

_MARKUP = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+\w+\+\+")
# the last two are Windows-1252 quotation marks decoded as Latin-1
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


def split_words(transcript: str) -> list[str]:
    """Split a transcript in any language into lower-case words.

    Punctuation, emoji and text in angle or square brackets (``[laughs]``) are
    dropped; apostrophes within words are kept. Raises ``AlignmentError`` if no
    word is left.

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
        raise AlignmentError(f"the transcript {transcript!r} contains no words")
    return words


def english_words(transcript: str) -> list[str]:
    """Split an English transcript into lower-case words, spelling out numbers.

    Like ``split_words``, but numbers and symbols such as ``%`` are spelled out.

    Raises
    ------
    AlignmentError
        If no word is left, or if words contain non-Latin letters.
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
            f"words in non-Latin letters: {', '.join(foreign)}. This aligner "
            "supports English only; use CTCAligner with a model of the language."
        )
    return words


def _spell_out(number):
    try:
        import inflect
    except ImportError as error:
        raise ImportError(
            "spelling out numbers needs inflect. Run pip install "
            "'speechbrain_can[align]'."
        ) from error
    plain = number.replace(",", "")
    try:
        return inflect.engine().number_to_words(plain, andword="")
    except inflect.NumOutOfRangeError:  # read digit by digit
        return inflect.engine().number_to_words(plain, group=1, comma="")


def _is_latin(word):
    return all(
        unicodedata.name(c, "").startswith("LATIN") for c in word if c.isalpha()
    )
