"""Normalization of tokens: the spoken words that a written token stands for.

Every source of words uses these functions: alignment files, speech recognizers and
transcripts. The same speech therefore gives the same words in training and prediction.
"""

import re
import unicodedata

from speechbrain_can.lobes.text import UNKNOWN

# <unk> of MFA and Kaldi, [unk] of Vosk: a spoken word that is not in the dictionary
_UNKNOWN = re.compile(r"[<\[](unk|oov)[>\]]")

# Typographic apostrophes, primes and accents that are used as apostrophes. The last
# two are Windows-1252 quotation marks decoded as Latin-1.
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘‛`´ʼʹˈ′＇՚\x91\x92", "'"))
_VARIANT = re.compile(r"\(\d+\)$")  # pronunciation variant of Sphinx
_BRACKETED = re.compile(
    r"<[^<>]*>|\[.*\]|\{.*\}|\(.*\)|\+\+.*\+\+", flags=re.DOTALL
)
# Speech that is annotated as laughing: <laugh>yes</laugh>, [laughter-yes]
_TAGS = re.compile(r"<[^<>]*>")
_LAUGHED = re.compile(r"\[laugh(?:ter)?-([^\]]+)\]", flags=re.IGNORECASE)
# Pauses and noises that aligners write without brackets
_BARE = {"sp", "sil", "spn", "nsn", "ssil"}
# Bracketed labels of pauses and noises: whole labels, and beginnings of labels
_NOISE_LABELS = {"", *"s b p h vn br lg cg ls sl ns nsn sp spn sil eps".split()}
_NOISE_LABELS |= set("pau nib usb space blank pad".split())
_NOISES = tuple(
    "applause bang beep breath click cough cry exhal garbage gasp hesit inhal laugh "
    "lipsmack music nois pause sigh silen smack sniff throat".split()
)
# Parts of contractions that tokenizers separate
_CLITICS = {"n't", "'s", "'m", "'d", "'re", "'ve", "'ll"}


def spoken_words(token: str) -> list[str]:
    """Return the words of a token of an aligner or recognizer, in lower case.

    Pauses, noises, other bracketed text and punctuation are not words. Hyphens
    separate words; a pronunciation variant such as ``(2)`` is removed. Unknown words
    become ``<unk>``.

    Example
    -------
    >>> (
    ...     spoken_words(" Door."),
    ...     spoken_words("What(2)"),
    ...     spoken_words("well-known"),
    ... )
    (['door'], ['what'], ['well', 'known'])
    >>> spoken_words("<sil>"), spoken_words("{LG}"), spoken_words("—")
    ([], [], [])
    >>> spoken_words("[UNK]"), spoken_words("it’s"), spoken_words("'s")
    (['<unk>'], ["it's"], ["'s"])
    """
    token = _VARIANT.sub("", visible(token).strip())
    if _UNKNOWN.fullmatch(token.lower()):
        return [UNKNOWN]
    token = _LAUGHED.sub(r"\1", token)
    if _BRACKETED.fullmatch(token) or token == "h#":
        return []
    token = _TAGS.sub(" ", token)
    if is_clitic(token):
        return [_simple(token)]
    words = plain_words(token)
    return [] if len(words) == 1 and words[0] in _BARE else words


def plain_words(text: str) -> list[str]:
    """Return the lower-case words of a text without punctuation.

    Example
    -------
    >>> plain_words("Oh, I’m FINE – “really”!")
    ['oh', "i'm", 'fine', 'really']
    """
    letters = (
        c if c in "'.,:" or unicodedata.category(c)[0] in "LMN" else " "
        for c in _simple(text)
    )
    # Only between digits are these part of a word: 1,000.
    text = re.sub(r"(?<!\d)[.,:]|[.,:](?!\d)", " ", "".join(letters))
    words: list[str] = []
    for word in text.split():
        if word in _CLITICS and words:
            words[-1] += word
        elif word := word.strip("'"):
            words.append(word)
    return words


def is_clitic(token: str) -> bool:
    """Return whether a token is the second part of a contraction, such as ``n't``."""
    return _simple(token) in _CLITICS


def is_unexpected(token: str) -> bool:
    """Return whether a token contains speech that ``spoken_words`` may drop.

    These are symbols such as ``%``, whose words depend on the language, bracketed text
    that is not a known label of a pause or noise, such as ``[inaudible]``, tokens of
    invisible characters only, and characters that indicate a wrong encoding.
    """
    written = token.strip()
    token = _VARIANT.sub("", visible(written).strip()).lower()
    if not token:
        return bool(written) and not _VARIANT.fullmatch(written)
    token = _LAUGHED.sub(r"\1", token)
    if not _BRACKETED.fullmatch(token):
        token = _TAGS.sub("", token)
        return any(
            c in "&%@\ufffd" or unicodedata.category(c) in ("Sc", "Sm", "Cc")
            for c in token.translate(_APOSTROPHES)
        )
    label = token.strip("<>[]{}()+/ :!_")
    return not (
        token.startswith("++")
        or _UNKNOWN.fullmatch(token)
        or label in _NOISE_LABELS
        or label.startswith(_NOISES)
    )


def visible(text: str) -> str:
    """Return a text in Unicode form NFC without invisible characters.

    Example
    -------
    >>> visible("ki\\u200bds") == "kids", visible("u\\u0308") == "\\u00fc"
    (True, True)
    """
    text = unicodedata.normalize("NFC", text)
    if text.isascii():
        return text
    return "".join(
        c
        for c in text
        # format characters, and variation selectors of emoji
        if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f"
    )


def _simple(text: str) -> str:
    """Return a visible text in lower case with plain apostrophes."""
    return visible(text).strip().translate(_APOSTROPHES).lower()
