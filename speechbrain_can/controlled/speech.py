"""Speech synthesis with known word timings, by eSpeak NG.

Needs espeakng-loader (extra ``demo``), a wheel with the library and its voices.
"""

import ctypes
from html import escape
from typing import Sequence

import numpy as np


class Synthesizer:
    """Interface to eSpeak NG that returns speech with the start of each word.

    The library has internal state: its output depends by some milliseconds on
    previous utterances in the same process.

    Raises
    ------
    ImportError
        If espeakng-loader is not installed.
    """

    # Ratio of the pitch change by eSpeak NG to the one requested in SSML
    PITCH_RESPONSE = 0.56

    _SYNCHRONOUS, _SSML, _UTF8 = 2, 0x10, 1
    _RATE, _PITCH, _MARK, _LIST_TERMINATED = 1, 3, 3, 0

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError:
            raise ImportError(
                "The controlled corpus needs eSpeak NG. Run "
                "pip install 'speechbrain_can[demo]', or pass --data_folder."
            )
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(
            self._SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
        )
        # By default it is seeded with the current time.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))
        # Keep a reference to the callback.
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples, n_samples, events):
        if samples and n_samples:
            chunk = np.ctypeslib.as_array(samples, (n_samples,))
            self._chunks.append(chunk.copy())
        i = 0
        while events[i].type != self._LIST_TERMINATED:
            if events[i].type == self._MARK:
                self._marks.append(events[i].sample)
            i += 1
        return 0

    def speak(
        self,
        words: Sequence[str],
        voice: str,
        pitch: float,
        rate: int,
        semitones: Sequence[float],
        end: str = ".",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Speak words; return samples in [-1, 1] and the first sample of each word.

        ``pitch`` is that of the voice (0 to 99), ``rate`` in words per minute,
        ``semitones`` the pitch change of each word, and ``end`` the punctuation.
        """
        self._chunks, self._marks = [], []
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        library.espeak_SetParameter(self._PITCH, round(pitch), 0)
        library.espeak_SetParameter(self._RATE, rate, 0)
        # Outside the element of the last word, punctuation would be spoken as
        # "dot".
        said = [escape(word) for word in words[:-1]] + [escape(words[-1] + end)]
        ssml = " ".join(
            f"<mark name='{i}'/><prosody pitch='{raised:+.1f}st'>"
            f"{word}</prosody>"
            for i, (word, raised) in enumerate(
                zip(said, np.asarray(semitones) / self.PITCH_RESPONSE)
            )
        )
        text = f"<speak>{ssml}</speak>".encode()
        library.espeak_Synth(
            text, len(text) + 1, 0, 1, 0, self._SSML | self._UTF8, None, None
        )
        samples = np.concatenate(self._chunks) / 32768
        if len(self._marks) != len(words):
            raise RuntimeError(
                f"eSpeak NG marked {len(self._marks)} of {len(words)} words: "
                f"{' '.join(words)!r}"
            )
        loud = np.flatnonzero(np.abs(samples) > 1e-3)
        samples = samples[: loud[-1] + 1]
        return samples, _share_merged(words, self._marks, len(samples))


def _share_merged(
    words: Sequence[str], marks: Sequence[int], end: int
) -> np.ndarray:
    """Return the starts of words, including those spoken as one with the previous.

    eSpeak NG speaks "in the" as one word and marks "the" at the start of the next
    word. The time of such a group is divided in proportion to letters.
    """
    timed = np.flatnonzero(np.diff([*marks, end]) > 0)
    timed[0] = 0  # a merged first word starts its group
    letters = np.cumsum([0, *map(len, words)])
    return np.interp(
        letters[:-1],
        letters[[*timed, -1]],
        [*np.asarray(marks)[timed], end],
    ).astype(int)


class _EventId(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


def equalize(
    samples: np.ndarray, sample_rate: int, level: float, tilt: float
) -> np.ndarray:
    """Change the level (dB) and the spectral tilt (dB per octave around 1 kHz)."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    octaves = np.log2(np.clip(frequencies, 62.5, 8000) / 1000)
    gain = 10 ** ((level + tilt * octaves) / 20)
    return np.fft.irfft(spectrum * gain, len(samples))
