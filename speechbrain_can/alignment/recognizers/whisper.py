"""Speech recognition with Whisper."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.encoders.hub import located
from speechbrain_can.io.files import InputError, state_of_files

# Shorter speech, in seconds, and less probable languages are not compared
SHORTEST_DETECTED, LEAST_PROBABLE = 2.0, 0.8


class WhisperTranscriber:
    """Whisper speech recognizer based on faster-whisper (extra ``asr``).

    The model is loaded on first use. It also detects the language of the speech; a
    note on the first word reports a language that differs from ``language``.

    Arguments
    ---------
    model : str
        A size such as ``base`` or ``large-v3``, a name on the hub, optionally
        with a revision (``name@revision``), or a folder in CTranslate2 format.
    language : str or None
        Language code such as ``en``; None detects the language.
    device : str
        ``cpu`` or ``cuda``.
    compute_type : str
        Precision in CTranslate2, such as ``int8`` or ``float16``.

    Example
    -------
    >>> import torch
    >>> transcribe = WhisperTranscriber("base")
    >>> words = transcribe(torch.randn(16000))  # doctest: +SKIP
    """

    name = "faster-whisper"
    sample_rate = 16000

    def __init__(
        self,
        model: str = "base",
        language: str | None = "en",
        device: str = "cpu",
        compute_type: str = "int8",
    ):
        self.model = model
        self.language = language
        self.device = device
        self.compute_type = compute_type
        self._loaded = []  # shared by copies for other languages

    def __repr__(self):
        settings = (self.model, self.language, self.compute_type)
        if Path(self.model).is_dir():  # a replaced model invalidates caches
            settings += tuple(state_of_files(self.model))
        return f"WhisperTranscriber{settings}"

    def __getstate__(self):
        return {**self.__dict__, "_loaded": []}

    def with_language(self, language: str | None) -> "WhisperTranscriber":
        """Return a recognizer for another language that shares the model."""
        other = copy.copy(self)
        other._loaded = self._loaded
        other.language = language
        return other

    def __call__(self, waveform: torch.Tensor) -> list[Word]:
        """Transcribe a waveform.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, ``[samples]``.

        Returns
        -------
        list of Word
            Tokens as Whisper writes them, with case and punctuation. The score of
            a token is its probability.

        Raises
        ------
        AlignmentError
            If no word is recognized.
        InputError
            If the model cannot be loaded.
        """
        if not self._loaded:
            self._loaded.append(self._load())
        whisper = self._loaded[0]
        try:
            segments, _ = whisper.transcribe(
                waveform.numpy(),
                language=self.language,
                word_timestamps=True,
                # Whisper hallucinates words in silence.
                vad_filter=True,
                condition_on_previous_text=False,
            )
        except ValueError as error:
            raise InputError(f"Whisper {self.model!r}: {error}") from error
        words = [
            _as_word(word) for segment in segments for word in segment.words
        ]
        if not words:
            raise AlignmentError("no word was recognized")
        words[0] = replace(words[0], note=self._doubt(whisper, waveform))
        return words

    def _doubt(self, whisper: Any, waveform: torch.Tensor) -> str | None:
        """Return a note if the detected language is not that of the settings."""
        long_enough = len(waveform) >= SHORTEST_DETECTED * self.sample_rate
        if self.language is None or not long_enough:
            return None
        if not whisper.model.is_multilingual:
            return None
        language, probability, _ = whisper.detect_language(waveform.numpy())
        return language_note(self.language, language, probability)

    def _load(self):
        try:
            from faster_whisper import WhisperModel, download_model
        except ImportError as error:
            raise ImportError(
                "transcription needs faster-whisper. Run pip install "
                "'speechbrain_can[asr]', or provide a transcript."
            ) from error
        try:
            return WhisperModel(
                located(self.model, None, download_model),
                device=self.device,
                compute_type=self.compute_type,
            )
        except InputError:
            raise
        # The hub and CTranslate2 raise many kinds of exceptions.
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"Whisper {self.model!r} cannot be loaded ({reason}). Pass a "
                "size, a name on the Hugging Face hub or, without a network, a "
                "folder in CTranslate2 format."
            ) from error


def language_note(
    expected: str, detected: str, probability: float
) -> str | None:
    """Return a note if the detected language is probably another one.

    Example
    -------
    >>> language_note("en", "de", 0.95)[:36]
    "Whisper detects the language 'de' (9"
    """
    if detected == expected or probability < LEAST_PROBABLE:
        return None
    return (
        f"Whisper detects the language {detected!r} ({probability:.0%}), but "
        f"transcribed {expected!r}. Pass the language of the recording."
    )


def _as_word(word):
    return Word(
        word.word.strip(),
        float(word.start),
        float(word.end),
        float(word.probability),
    )
