"""Normalization of written transcripts to spoken words."""

import html
import re
import unicodedata

from speechbrain_can.alignment.tokens import plain_words, visible
from speechbrain_can.alignment.words import AlignmentError

# Stage directions and noises; nested ones are removed from the inside.
_MARKUP = re.compile(
    r"<[^<>]*>|\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}|（[^（）]*）|【[^【】]*】"
    r"|\+\+\w+\+\+|(?<!\w)\*\w[^*]*\*(?!\w)"
)
# Opening brackets, except in emoticons such as :(
_OPEN = re.compile(r"(?<![:;=-])[<\[({（【]")
_NUMBERED_SPEAKER = re.compile(r"(?:speaker|spk)[ _]?\d+", re.IGNORECASE)
LONGEST_NAME = 40  # characters of the name of a speaker
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]+\d*);", re.IGNORECASE)
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


def spoken_text(transcript: str) -> tuple[str, list[str]]:
    """Return the spoken part of a transcript, and notes about the rest.

    Stage directions in brackets or parentheses are not spoken, and neither is the name
    of a speaker in capitals (``JOEY:``) or as in ``Speaker 1:`` at the start.

    Raises
    ------
    AlignmentError
        If the transcript contains HTML entities, or starts with a word and a colon
        that may be a speaker.

    Example
    -------
    >>> spoken_text("JOEY: (sighs) Oh, no!")
    ('Oh, no!', ["text left out: '(sighs)', 'JOEY:'"])
    """
    transcript = visible(transcript)
    entity = _ENTITY.search(transcript)
    if entity and html.unescape(entity[0]) != entity[0]:
        raise AlignmentError(
            f"the transcript contains the HTML entity {entity[0]!r}. Replace it with "
            f"{html.unescape(entity[0])!r} (html.unescape in Python)."
        )
    left_out, text = [], transcript
    while found := _MARKUP.findall(text):
        left_out += found
        text = _MARKUP.sub(" ", text)
    if bracket := _OPEN.search(text):
        raise AlignmentError(
            f"the transcript contains {bracket[0]!r} without its counterpart. Remove "
            "the bracket, and the text in it if it is not spoken."
        )
    lines = []
    for line in text.splitlines():
        name, line = _split_speaker(" ".join(line.split()))
        left_out += [f"{name}:"] if name else []
        lines.append(line)
    if not left_out:
        return transcript, []
    return " ".join(filter(None, lines)), [
        "text left out: " + ", ".join(map(repr, left_out))
    ]


def _split_speaker(line: str) -> tuple[str, str]:
    """Split the name of a speaker from a line; raise ``AlignmentError`` if in doubt.

    ``JOEY:`` and ``Speaker 1:`` are names; ``Joey:`` may be one, but so may ``Listen:``.
    """
    name, colon, rest = line[: LONGEST_NAME + 1].partition(":")
    rest = line[len(name) + 1 :]
    words = name.split()
    if not colon or not words or not rest or rest[0].isdigit():
        return "", line  # no colon, or a time such as 3:30
    if _NUMBERED_SPEAKER.fullmatch(name.strip()):
        return name.strip(), rest.strip()
    # In a line in capitals, the start may be spoken as well.
    if name.isupper() and not line.isupper():
        return name.strip(), rest.strip()
    capitalized = [word for word in words if word[0].isupper()]
    joined = [word for word in words if word.lower() in ("and", "&")]
    if len(words) == 1 or (
        len(words) <= 4 and len(capitalized) + len(joined) == len(words)
    ):
        raise AlignmentError(
            f"the transcript contains '{name.strip()}:', which may be the name of a "
            "speaker. Remove the name, or the colon if the text is spoken."
        )
    return "", line


def split_words(transcript: str) -> list[str]:
    """Split a transcript in any language into lower-case words.

    Punctuation, emoji and text in brackets or parentheses (``[laughs]``) are
    dropped; apostrophes within words are kept. Raises ``AlignmentError`` if no
    word is left.

    Example
    -------
    >>> split_words("Oh, I’m FINE – [sighs] really!")
    ['oh', "i'm", 'fine', 'really']
    """
    words = plain_words(_MARKUP.sub(" ", transcript))
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
