"""Speech recognisers: from audio to words with times.

Their times are too loose to cut segments by (half of Whisper's starts are within 50
ms of the truth); an aligner places the words that they found."""

from dataclasses import replace
from pathlib import Path

from speechbrain_can.alignment.sphinx import decode, import_decoder
from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.files import InputError, state_of_files
from speechbrain_can.hub import located


class WhisperTranscriber:
    """Whisper, run by faster-whisper (extra ``asr``), loaded when first used.

    Arguments
    ---------
    model : str
        A size such as ``base`` or ``large-v3``, a name on the hub, also with a
        revision (``name@revision``), or a folder of CTranslate2's format.
    language : str or None
        A code such as ``en``; None lets the model tell.
    device : str
        ``cpu`` or ``cuda``.
    compute_type : str
        Of CTranslate2, e.g. ``int8`` or ``float16``.

    Example
    -------
    >>> import torch
    >>> transcribe = WhisperTranscriber("base")
    >>> words = transcribe(torch.randn(16000))  # doctest: +SKIP
    """

    name = "faster-whisper"
    sample_rate = 16000

    def __init__(
        self, model="base", language="en", device="cpu", compute_type="int8"
    ):
        self.model = model
        self.language = language
        self.device = device
        self.compute_type = compute_type
        self._whisper = None

    def __repr__(self):
        settings = (self.model, self.language, self.compute_type)
        if Path(self.model).is_dir():  # another model in its place hears anew
            settings += tuple(state_of_files(self.model))
        return f"WhisperTranscriber{settings}"

    def __getstate__(self):
        return {**self.__dict__, "_whisper": None}

    def __call__(self, waveform):
        """Recognises what is said.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, shape ``[samples]``.

        Returns
        -------
        list of Word
            As Whisper writes them, with capitals and punctuation; the score
            of each is its probability.

        Raises
        ------
        AlignmentError
            If no word is heard.
        InputError
            If the model cannot be loaded.
        """
        if self._whisper is None:
            self._whisper = self._load()
        try:
            segments, _ = self._whisper.transcribe(
                waveform.numpy(),
                language=self.language,
                word_timestamps=True,
                # Whisper makes words up where nobody speaks.
                vad_filter=True,
                condition_on_previous_text=False,
            )
        except ValueError as error:
            raise InputError(f"Whisper {self.model!r}: {error}") from error
        words = [_heard(word) for segment in segments for word in segment.words]
        if not words:
            raise AlignmentError("no word was heard")
        return words

    def _load(self):
        try:
            from faster_whisper import WhisperModel, download_model
        except ImportError as error:
            raise ImportError(
                "recognising speech needs faster-whisper (pip install "
                "'speechbrain_can[asr]'); or give a transcript"
            ) from error
        try:
            return WhisperModel(
                located(self.model, None, download_model),
                device=self.device,
                compute_type=self.compute_type,
            )
        except InputError:
            raise
        # the hub and CTranslate2 raise many kinds of errors
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"Whisper {self.model!r} cannot be loaded ({reason}); give a "
                "size, a name on the Hugging Face hub or, where there is no "
                "network, a folder of CTranslate2's format"
            ) from error


def _heard(word):
    return Word(
        word.word.strip(),
        float(word.start),
        float(word.end),
        float(word.probability),
    )


def _plain(word):
    """A word as it was heard without its punctuation: none, one, or several."""
    try:
        texts = split_words(word.text)
    except AlignmentError:
        return []
    step = (word.end - word.start) / len(texts)
    return [
        replace(
            word,
            text=text,
            start=word.start + i * step,
            end=word.start + (i + 1) * step,
        )
        for i, text in enumerate(texts)
    ]


class PocketsphinxTranscriber:
    """PocketSphinx as a recogniser: English, small, wrong in a third of the words.

    Its model comes with the wheel (extra ``align``).

    Example
    -------
    >>> import torch
    >>> transcribe = PocketsphinxTranscriber()
    >>> words = transcribe(torch.randn(16000))  # doctest: +SKIP
    """

    name = "pocketsphinx"
    sample_rate = 16000

    def __init__(self):
        self._decoder = None

    def __repr__(self):
        return "PocketsphinxTranscriber()"

    def __getstate__(self):
        return {"_decoder": None}

    def __call__(self, waveform):
        """Recognises what is said: see ``WhisperTranscriber``."""
        if self._decoder is None:
            self._decoder = import_decoder()(loglevel="FATAL")
        words = decode(self._decoder, waveform)
        if not words:
            raise AlignmentError("no word was heard")
        return words


def hear(waveform, transcriber, aligner=None):
    """Words that a recogniser finds, placed by an aligner where there is one.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples at the rate of both, shape ``[samples]``.
    transcriber : callable
        From a waveform to a list of Word.
    aligner : callable or None
        From a waveform and a transcript to a list of Word; None leaves the
        recogniser's own times.

    Returns
    -------
    list of Word
        With the recogniser's scores.

    Raises
    ------
    AlignmentError
        If nothing is heard, or the aligner refuses what was heard.
    """
    heard = transcriber(waveform)
    if aligner is None:
        return [part for word in heard for part in _plain(word)]
    transcript = " ".join(word.text for word in heard)
    try:
        placed = aligner(waveform, transcript)
    except AlignmentError as error:
        raise AlignmentError(
            f"{transcriber.name} heard {transcript!r}, and {error}"
        ) from error
    if len(placed) != len(heard):  # numbers are spelled out
        return placed
    return [replace(p, score=h.score) for p, h in zip(placed, heard)]
