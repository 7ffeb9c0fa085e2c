"""Speech with known word times and a known colour, from eSpeak NG.

Needs espeakng-loader (extra ``demo``), a wheel with the library and its voices."""

import ctypes
from html import escape

import numpy as np


class Synthesizer:
    """eSpeak NG, from Python: speech with the start of every word.

    The library keeps a state: what it speaks depends, by some milliseconds,
    on all that it spoke before in the same process.

    Raises
    ------
    ImportError
        If espeakng-loader is not installed.
    """

    # eSpeak NG moves the pitch of a word by this share of what SSML asks for.
    PITCH_RESPONSE = 0.56

    _SYNCHRONOUS, _SSML, _UTF8 = 2, 0x10, 1
    _RATE, _PITCH, _MARK, _LIST_TERMINATED = 1, 3, 3, 0

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError:
            raise ImportError(
                "The controlled corpus needs eSpeak NG: "
                "pip install 'speechbrain_can[demo]', or give a data_folder"
            )
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(
            self._SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
        )
        # It is seeded with the time otherwise.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))
        # The reference keeps the callback alive.
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

    def speak(self, words, voice, pitch, rate, semitones, end="."):
        """Speaks words: samples between -1 and 1, and each word's first sample.

        ``pitch`` is the voice's, 0 to 99, ``rate`` words a minute; ``semitones``
        raise the words, one by one; ``end`` is the punctuation.
        """
        self._chunks, self._marks = [], []
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        library.espeak_SetParameter(self._PITCH, round(pitch), 0)
        library.espeak_SetParameter(self._RATE, rate, 0)
        # Outside of the last word's element the punctuation would be spoken:
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


def _share_merged(words, marks, end):
    """Starts of words, those spoken in one with the word before them too.

    eSpeak NG speaks "in the" as one and marks "the" where the next word starts.
    The words of such a group share its time by their letters.
    """
    timed = np.flatnonzero(np.diff([*marks, end]) > 0)
    timed[0] = 0  # a first word that is merged leads its group
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


def colour(samples, sample_rate, level, tilt):
    """As many samples with another level (dB) and tilt (dB per octave, 1 kHz)."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    octaves = np.log2(np.clip(frequencies, 62.5, 8000) / 1000)
    gain = 10 ** ((level + tilt * octaves) / 20)
    return np.fft.irfft(spectrum * gain, len(samples))
