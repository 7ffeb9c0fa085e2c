"""Speech recognition with PocketSphinx."""

import torch

from speechbrain_can.alignment.aligners.sphinx import (
    as_words,
    decode,
    import_decoder,
)
from speechbrain_can.alignment.words import AlignmentError, Word


class PocketsphinxTranscriber:
    """English speech recognizer based on PocketSphinx (extra ``align``).

    Its wheel includes the model. About a third of the words are wrong.

    Example
    -------
    >>> import torch
    >>> transcribe = PocketsphinxTranscriber()
    >>> words = transcribe(torch.randn(16000))  # doctest: +SKIP
    """

    name = "pocketsphinx"
    language = "en"
    sample_rate = 16000

    def __init__(self):
        self._decoder = None

    def __repr__(self):
        return "PocketsphinxTranscriber()"

    def __getstate__(self):
        return {"_decoder": None}

    def __call__(self, waveform: torch.Tensor) -> list[Word]:
        """Transcribe a waveform; see ``WhisperTranscriber``."""
        if self._decoder is None:
            self._decoder = import_decoder()(loglevel="FATAL")
        words = as_words(decode(self._decoder, waveform))
        if not words:
            raise AlignmentError("no word was recognized")
        return words
