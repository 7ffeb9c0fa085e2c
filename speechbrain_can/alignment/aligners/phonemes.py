"""Pronunciations of out-of-dictionary English words from eSpeak NG."""

import ctypes
import re
import unicodedata

# From the IPA of eSpeak NG's American English to phones of the CMU dictionary
ARPABET = {
    "tʃ": "CH", "dʒ": "JH", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "oʊ": "OW",
    "eɪ": "EY", "ɜː": "ER", "ɚ": "ER", "ɝ": "ER", "ɑː": "AA", "ɔː": "AO",
    "uː": "UW", "iː": "IY", "n̩": "AH N", "l̩": "AH L", "m̩": "AH M",
    "ɛ": "EH", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɪ": "IH",
    "ᵻ": "IH", "i": "IY", "u": "UW", "ʊ": "UH", "ɔ": "AO", "ɑ": "AA",
    "a": "AA", "o": "OW", "e": "EH", "ɾ": "T", "ʔ": "T", "θ": "TH",
    "ð": "DH", "ʃ": "SH", "ʒ": "ZH", "ŋ": "NG", "ɹ": "R", "r": "R",
    "j": "Y", "h": "HH", "ɡ": "G", "g": "G", "x": "K", "b": "B", "d": "D",
    "f": "F", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S",
    "t": "T", "v": "V", "w": "W", "z": "Z",
}  # fmt: skip

_PHONES = re.compile("|".join(sorted(ARPABET, key=len, reverse=True)))


class Pronouncer:
    """Grapheme-to-phoneme conversion for English with eSpeak NG.

    Raises
    ------
    ImportError
        If espeakng-loader, a wheel with the library, is not installed.

    Example
    -------
    >>> Pronouncer()("selfie")
    'S EH L F IY'
    """

    _RETRIEVAL, _UTF8, _IPA = 1, 1, 0x02

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise ImportError(
                "out-of-dictionary words need eSpeak NG. Run pip install "
                "'speechbrain_can[align]'."
            ) from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Initialize(
            self._RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0
        )
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def __call__(self, word: str) -> str:
        """Return the space-separated phones of a word; empty if it has none."""
        # Other users of the library may have set a different voice.
        self._library.espeak_SetVoiceByName(b"en-us")
        text = ctypes.create_string_buffer(word.encode())
        rest = ctypes.c_void_p(ctypes.addressof(text))
        spoken = self._library.espeak_TextToPhonemes(
            ctypes.byref(rest), self._UTF8, self._IPA
        )
        ipa = unicodedata.normalize("NFC", (spoken or b"").decode())
        return " ".join(ARPABET[phone] for phone in _PHONES.findall(ipa))
