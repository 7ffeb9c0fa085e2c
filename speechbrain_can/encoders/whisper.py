"""Whisper without padding to 30 seconds, and its word embeddings (extra ``huggingface``)."""

from contextlib import contextmanager
from typing import Any, Callable, Sequence

import torch

from speechbrain.integrations.huggingface.whisper import Whisper
from speechbrain_can.encoders.loading import PretrainedModule, load_pretrained
from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import mean_over_steps, send
from speechbrain_can.lobes.text import UNKNOWN


class TrimmedWhisper(Whisper):
    """SpeechBrain's ``Whisper`` with padding to a fraction of a second.

    Whisper pads its input with silence to 30 seconds. This class pads to a multiple
    of ``step``. Utterances of similar length then have the same number of positions
    and form a batch without masks. The hidden layers differ slightly from those with
    padding to 30 seconds; see ``tests/benchmarks``.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``openai/whisper-base``, or a folder.
    save_path : str
        Download folder.
    step : float
        Seconds; the length of the input is padded to a multiple of it.
    **options
        Arguments of ``Whisper``; without ``encoder_only`` the decoder is loaded
        as well.

    Example
    -------
    >>> whisper = TrimmedWhisper(  # doctest: +SKIP
    ...     "openai/whisper-base", save_path="pretrained", encoder_only=True
    ... )
    >>> whisper(torch.randn(1, 16000)).shape  # doctest: +SKIP
    torch.Size([1, 50, 512])
    """

    def __init__(
        self, source: str, save_path: str, step: float = 0.5, **options
    ):
        super().__init__(source, save_path, **options)
        # transformers marks the fixed sinusoidal positions as trainable.
        self.model.encoder.embed_positions.requires_grad_(False)
        # one encoder position per two hops of the spectrogram
        self.position_samples = 2 * self._hop_length
        self.step_samples = self.position_samples * max(
            1, round(step * self.sampling_rate / self.position_samples)
        )

    def filled_samples(self, samples: int) -> int:
        """Return the padded number of samples."""
        steps = max(1, -(-samples // self.step_samples))
        return min(steps * self.step_samples, self._n_samples)

    def pad_or_trim(self, array, length=None, axis=-1):
        """Pad or trim to the given length, or to a multiple of ``step``."""
        length = length or self.filled_samples(array.shape[axis])
        return super().pad_or_trim(array, length, axis)

    def log_mel_spectrogram(self, audio, padding=0):
        """Compute the spectrogram of each utterance separately.

        SpeechBrain 1.1.2 clips at 80 dB below the loudest value of the batch; this
        method clips at 80 dB below the loudest value of each utterance.
        """
        of_one = super().log_mel_spectrogram
        # powers exceed the range of half precision
        with torch.autocast(audio.device.type, enabled=False):
            return torch.stack([of_one(row, padding) for row in audio])

    def forward(self, wav, decoder_input_ids=None):
        """Apply the encoder or, with decoder tokens, the whole model."""
        if decoder_input_ids is None:
            return self.forward_encoder(self._get_mel(wav))
        return super().forward(wav, decoder_input_ids)

    def forward_encoder(self, mel):
        """Encode a spectrogram of any length; see ``Whisper.forward_encoder``."""
        with _positions(self.model.encoder, mel.shape[-1] // 2):
            return super().forward_encoder(mel)


@contextmanager
def _positions(encoder, count):
    """Context in which an encoder of transformers has only its first positions."""
    every, limit = encoder.embed_positions, encoder.config.max_source_positions
    first = torch.nn.Embedding.from_pretrained(every.weight[:count])
    encoder.embed_positions = first
    encoder.config.max_source_positions = count
    try:
        yield
    finally:
        encoder.embed_positions = every
        encoder.config.max_source_positions = limit


class WhisperWords(PretrainedModule):
    """Word vectors from Whisper's subword embeddings, pooled over subwords.

    Replaces ``WordEmbedding``, for all languages that Whisper supports. These
    vectors are independent of the context; ``SegmentWhisper`` computes contextual
    ones with the decoder.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``openai/whisper-base``, or a folder.
    save_path : str
        Download folder.
    pooling : callable
        Maps flat subwords and their counts to words, such as ``MeanPooling``.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded.

    Example
    -------
    >>> embedding = WhisperWords(  # doctest: +SKIP
    ...     "openai/whisper-base", save_path="pretrained"
    ... )
    >>> embedding([["oh", "really"], ["yes"]]).shape  # doctest: +SKIP
    torch.Size([3, 512])
    """

    def __init__(
        self, source: str, save_path: str, pooling: Callable = MeanPooling
    ):
        whisper = load_pretrained(
            lambda place: Whisper(place, save_path, freeze=True),
            source,
            save_path,
        )
        super().__init__(whisper.model.decoder.embed_tokens, freeze=True)
        self.tokenizer = whisper.tokenizer
        self.pooling = pooling(self.encoder.embedding_dim)
        self.output_size = self.pooling.output_size

    def fit_vocabulary(
        self, train_words: Sequence[str], other_words: Sequence[str] = ()
    ) -> None:
        """Do nothing; the subwords of the model are fixed."""

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return flat word vectors, ``[words of the batch, features]``."""
        flat = [word for utterance in words for word in utterance]
        subwords = word_subwords(self.tokenizer, flat)
        counts = torch.tensor([len(word) for word in subwords])
        subwords = [subword for word in subwords for subword in word]
        subwords = send(torch.tensor(subwords), self.encoder.weight.device)
        hidden = self.encoder(subwords)
        return self.pooling(hidden, counts)


def word_subwords(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """Return the subwords of each word as within a sentence, after a space."""
    return tokenizer(
        # Whisper has no subword for unknown words.
        [" " if word == UNKNOWN else f" {word}" for word in words],
        add_special_tokens=False,
    ).input_ids


@torch.no_grad()
def decoder_states(
    whisper: TrimmedWhisper,
    encoded: torch.Tensor,
    words: Sequence[str],
    language: str,
) -> torch.Tensor:
    """Return decoder hidden states for each word, conditioned on the audio.

    The decoder reads the words with teacher forcing. Texts that exceed its positions
    are decoded in several pieces.

    Arguments
    ---------
    whisper : TrimmedWhisper
        Model with decoder.
    encoded : torch.Tensor
        Last layer of the encoder, ``[frames, features]``.
    words : list of str
        The transcript.
    language : str
        Language code such as ``en``.

    Returns
    -------
    torch.Tensor
        Mean over the subwords of each word, ``[words, features]``.
    """
    tokenizer, decoder = whisper.tokenizer, whisper.model.decoder
    if whisper.is_multilingual:
        tokenizer.set_prefix_tokens(language=language, task="transcribe")
    prefix = list(tokenizer.prefix_tokens)
    room = decoder.config.max_target_positions - len(prefix)
    subwords = [each[:room] for each in word_subwords(tokenizer, words)]
    pieces, states = [[]], []
    for each in subwords:
        if sum(map(len, pieces[-1])) + len(each) > room:
            pieces.append([])
        pieces[-1].append(each)
    for piece in pieces:
        tokens = [*prefix, *(token for each in piece for token in each)]
        hidden = decoder(
            input_ids=torch.tensor([tokens], device=encoded.device),
            encoder_hidden_states=encoded[None],
            use_cache=False,
        ).last_hidden_state[0, len(prefix) :]
        counts = torch.tensor([len(each) for each in piece])
        states.append(mean_over_steps(hidden, counts))
    return torch.cat(states)
