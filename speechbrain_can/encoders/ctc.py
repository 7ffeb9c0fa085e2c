"""CTC models of other libraries, for ``aligners.ctc.CTCAligner``."""

from pathlib import Path

import torch

from speechbrain_can.encoders.loading import load_pretrained
from speechbrain_can.io.files import state_of_files


class HuggingFaceCTC:
    """CTC model of transformers (extra ``huggingface``), loaded on first use.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``facebook/wav2vec2-base-960h``, or a folder.
    save_path : str or None
        Download folder; None for the default cache of the hub.
    sample_rate : int
        Sample rate of the model in Hz.

    Example
    -------
    >>> model = HuggingFaceCTC("facebook/wav2vec2-base-960h")
    >>> model.encode("so")  # doctest: +SKIP
    [12, 8]
    """

    def __init__(
        self,
        source: str,
        save_path: str | None = None,
        sample_rate: int = 16000,
    ):
        self.source = self.name = source
        self.save_path = save_path
        self.sample_rate = sample_rate
        self._parts = None

    def __repr__(self):
        return f"HuggingFaceCTC({self.source!r}{_state(self.source)})"

    def __getstate__(self):
        return {**self.__dict__, "_parts": None}

    def _load(self):
        """Return feature extractor, tokenizer and model."""
        if self._parts is None:
            self._parts = load_pretrained(
                self._build, self.source, self.save_path
            )
        return self._parts

    def _build(self, place):
        from transformers import (
            AutoFeatureExtractor,
            AutoModelForCTC,
            AutoTokenizer,
        )

        extractor, tokenizer, model = (
            kind.from_pretrained(
                place, cache_dir=self.save_path, trust_remote_code=False
            )
            for kind in (AutoFeatureExtractor, AutoTokenizer, AutoModelForCTC)
        )
        if extractor.sampling_rate != self.sample_rate:
            raise ValueError(
                f"the model needs {extractor.sampling_rate} Hz, but sample_rate "
                f"is {self.sample_rate}"
            )
        return extractor, tokenizer, model.eval()

    @property
    def blank(self) -> int:
        """Index of the blank token."""
        return self._load()[1].pad_token_id

    @property
    def separator(self) -> int | None:
        """Index of the token between words, or None."""
        tokenizer = self._load()[1]
        token = getattr(tokenizer, "word_delimiter_token", None)
        return None if token is None else tokenizer.convert_tokens_to_ids(token)

    def encode(self, word: str) -> list[int]:
        """Return the token indices of a word; empty if it cannot be spelled."""
        tokenizer = self._load()[1]
        for cased in (word, word.upper()):  # many models support capitals only
            tokens = tokenizer(cased, add_special_tokens=False).input_ids
            if tokens and tokenizer.unk_token_id not in tokens:
                return tokens
        return []

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities ``[frames, tokens]`` of ``[samples]``."""
        extractor, _, model = self._load()
        features = extractor(
            waveform.numpy(),
            sampling_rate=self.sample_rate,
            return_tensors="pt",
        )
        return model(**features).logits[0].log_softmax(dim=-1)


class SpeechBrainCTC:
    """CTC model of SpeechBrain (``EncoderASR``), loaded on first use.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``speechbrain/asr-wav2vec2-commonvoice-14-en``,
        or a folder.
    savedir : str or None
        Download folder.
    sample_rate : int
        Sample rate of the model in Hz.

    Example
    -------
    >>> model = SpeechBrainCTC("speechbrain/asr-wav2vec2-commonvoice-14-en")
    >>> model.encode("so")  # doctest: +SKIP
    [5, 3]
    """

    def __init__(
        self, source: str, savedir: str | None = None, sample_rate: int = 16000
    ):
        self.source = self.name = source
        self.savedir = savedir
        self.sample_rate = sample_rate
        self._recognizer = None

    def __repr__(self):
        return f"SpeechBrainCTC({self.source!r}{_state(self.source)})"

    def __getstate__(self):
        return {**self.__dict__, "_recognizer": None}

    def _load(self):
        if self._recognizer is None:
            from speechbrain.inference.ASR import EncoderASR

            self._recognizer = load_pretrained(
                lambda place: EncoderASR.from_hparams(
                    source=place, savedir=self.savedir
                ),
                self.source,
                self.savedir,
            )
        return self._recognizer

    @property
    def blank(self) -> int:
        """Index of the blank token."""
        return getattr(self._load().hparams, "blank_index", 0)

    @property
    def separator(self) -> int | None:
        """Index of the token between words, or None."""
        return getattr(self._load().tokenizer, "lab2ind", {}).get(" ")

    def encode(self, word: str) -> list[int]:
        """Return the token indices of a word; empty if it cannot be spelled."""
        tokenizer = self._load().tokenizer
        for cased in (word, word.upper()):
            if hasattr(tokenizer, "encode_as_ids"):  # SentencePiece
                tokens = tokenizer.encode_as_ids(cased)
                if tokens and tokenizer.unk_id() not in tokens:
                    return tokens
            elif all(letter in tokenizer.lab2ind for letter in cased):
                return [tokenizer.lab2ind[letter] for letter in cased]
        return []

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities ``[frames, tokens]`` of ``[samples]``."""
        logits = self._load().encode_batch(waveform[None], torch.ones(1))
        return logits[0].log_softmax(dim=-1)


def _state(source: str) -> str:
    """Return the state of a model folder, so that a replaced model is detected."""
    return f", {state_of_files(source)}" if Path(source).is_dir() else ""
