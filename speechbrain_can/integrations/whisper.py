"""Whisper on what was said only, and its words (extra ``huggingface``)."""

from contextlib import contextmanager

import torch

from speechbrain.integrations.huggingface.whisper import Whisper
from speechbrain_can.integrations.loading import (
    PretrainedModule,
    load_pretrained,
)
from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import mean_over_steps


class CutWhisper(Whisper):
    """SpeechBrain's ``Whisper`` whose encoder ends soon after the utterance does.

    Whisper pads everything with silence to 30 seconds. Here silence fills the
    last ``step`` only, so that utterances of about the same length have the same
    number of positions and make a batch that needs no mask. The layers are not
    those of 30 seconds, but close: ``tests/benchmarks`` says how close.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``openai/whisper-base``, or a folder.
    save_path : str
        Where downloads are kept.
    step : float
        Seconds; an utterance is filled up with silence to a multiple of it.
    **options
        As for ``Whisper``; without ``encoder_only`` it has its decoder too.

    Example
    -------
    >>> whisper = CutWhisper(  # doctest: +SKIP
    ...     "openai/whisper-base", save_path="pretrained", encoder_only=True
    ... )
    >>> whisper(torch.randn(1, 16000)).shape  # doctest: +SKIP
    torch.Size([1, 50, 512])
    """

    def __init__(self, source, save_path, step=0.5, **options):
        super().__init__(source, save_path, **options)
        # The sinusoidal positions are fixed, but loading marks them trainable.
        self.model.encoder.embed_positions.requires_grad_(False)
        # an encoder position is two hops of the spectrogram
        self.position_samples = 2 * self._hop_length
        self.step_samples = self.position_samples * max(
            1, round(step * self.sampling_rate / self.position_samples)
        )

    def filled_samples(self, samples):
        """Samples of an utterance of so many ones with its silence."""
        steps = max(1, -(-samples // self.step_samples))
        return min(steps * self.step_samples, self._n_samples)

    def pad_or_trim(self, array, length=None, axis=-1):
        """See ``Whisper.pad_or_trim``; the length follows from the array's."""
        length = length or self.filled_samples(array.shape[axis])
        return super().pad_or_trim(array, length, axis)

    def log_mel_spectrogram(self, audio, padding=0):
        """See ``Whisper.log_mel_spectrogram``.

        SpeechBrain 1.1.2 takes what is 80 dB below the loudest of a whole batch
        for silence; here it is the loudest of each utterance.
        """
        of_one = super().log_mel_spectrogram
        return torch.stack([of_one(row, padding) for row in audio])

    def forward(self, wav, decoder_input_ids=None):
        """See ``Whisper.forward``; without tokens the encoder alone."""
        if decoder_input_ids is None:
            return self.forward_encoder(self._get_mel(wav))
        return super().forward(wav, decoder_input_ids)

    def forward_encoder(self, mel):
        """See ``Whisper.forward_encoder``; ``mel`` may be of any length."""
        with _positions(self.model.encoder, mel.shape[-1] // 2):
            return super().forward_encoder(mel)


@contextmanager
def _positions(encoder, count):
    """An encoder of transformers' with its first positions only."""
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
    """Words as Whisper's decoder embeds their subwords, pooled.

    It stands where ``WordEmbedding`` does, and reads any language that Whisper
    writes. Nothing but the embedding is kept, which knows no context:
    ``SegmentWhisper`` has what the decoder makes of it.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``openai/whisper-base``, or a folder.
    save_path : str
        Where downloads are kept.
    pooling : type
        From flat subwords and their counts to words, such as ``MeanPooling``.

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

    def __init__(self, source, save_path, pooling=MeanPooling):
        whisper = load_pretrained(
            lambda place: Whisper(place, save_path, freeze=True),
            source,
            save_path,
        )
        super().__init__(whisper.model.decoder.embed_tokens, freeze=True)
        self.tokenizer = whisper.tokenizer
        self.pooling = pooling(self.encoder.embedding_dim)
        self.output_size = self.pooling.output_size

    def fit_vocabulary(self, train_words, other_words=()):
        """Nothing is learnt: its subwords are the model's own."""

    def forward(self, words):
        """Vectors of words.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            Flat word vectors, shape ``[words of the batch, features]``.
        """
        flat = [word for utterance in words for word in utterance]
        subwords = word_subwords(self.tokenizer, flat)
        device = self.encoder.weight.device
        counts = torch.tensor([len(word) for word in subwords], device=device)
        subwords = [subword for word in subwords for subword in word]
        hidden = self.encoder(torch.tensor(subwords, device=device))
        return self.pooling(hidden, counts)


def word_subwords(tokenizer, words):
    """Subwords of each word, as it stands in a sentence: after a space."""
    return tokenizer(
        [f" {word}" for word in words], add_special_tokens=False
    ).input_ids


@torch.no_grad()
def decoder_states(whisper, encoded, words, language):
    """What a decoder makes of the words of an utterance that it hears.

    Words that are more than it has positions for are read in several pieces.

    Arguments
    ---------
    whisper : CutWhisper
        With its decoder.
    encoded : torch.Tensor
        The encoder's last layer, shape ``[frames, features]``.
    words : list of str
        What is said.
    language : str
        A code such as ``en``.

    Returns
    -------
    torch.Tensor
        The mean over each word's subwords, shape ``[words, features]``.
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
        states.append(mean_over_steps(hidden, counts.to(encoded.device)))
    return torch.cat(states)
