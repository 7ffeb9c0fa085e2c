"""Pretrained speech encoders from Hugging Face (extra ``huggingface``)."""

import math
from collections import defaultdict
from typing import Any, Callable, Sequence

import torch

from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.loading import PretrainedModule, load_pretrained
from speechbrain_can.encoders.whisper import TrimmedWhisper
from speechbrain_can.lobes.audio import LayerWeights
from speechbrain_can.lobes.pooling import frames_of_words
from speechbrain_can.lobes.ragged import (
    WordFrames,
    send,
    utterance_frame_counts,
)

# Maximum size of a batch of utterances of equal length, which bounds the memory: a
# number on a CPU, and seconds of audio on a GPU
MAX_BATCH = 16
MAX_SECONDS = 160


class FrontEnd(PretrainedModule):
    """Pretrained speech model of SpeechBrain, applied to each utterance separately.

    Without batching, no padding is needed, which these models do not mask
    consistently, and each utterance is normalized separately. The output does not
    depend on other utterances.

    Arguments
    ---------
    build : callable
        Builds one of ``speechbrain.integrations.huggingface``: ``Wav2Vec2``,
        ``HuBERT``, ``WavLM``, or ``Whisper`` with ``encoder_only``; or
        ``TrimmedWhisper``. In YAML it is a ``!name:`` with ``source``,
        ``save_path`` and other arguments except ``freeze``.
    sample_rate : int
        Sample rate of the input in Hz.
    freeze : bool
        Whether the model is frozen.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded or needs another sample rate.
    """

    def __init__(
        self, build: Callable, sample_rate: int = 16000, freeze: bool = True
    ):
        source = build.keywords["source"]
        encoder = load_pretrained(
            lambda place: build(source=place, freeze=freeze),
            source,
            build.keywords["save_path"],
        )
        rate = encoder.feature_extractor.sampling_rate
        if rate != sample_rate:
            raise PretrainedError(
                f"{source!r} needs audio at {rate} Hz instead of {sample_rate} "
                f"Hz. Set --sample_rate={rate}."
            )
        super().__init__(encoder, freeze)
        self.all_layers = encoder.output_all_hiddens
        # LayerWeights needs all layers, so disable LayerDrop.
        encoder.model.config.layerdrop = 0.0
        extractor = encoder.feature_extractor
        # Maximum number of samples per call
        self.longest = getattr(extractor, "n_samples", None)
        if self.longest:
            # Whisper: every second mel frame, centered at multiples of the hop
            hop, reach = 2 * extractor.hop_length, 0
        else:
            hop, reach = _convolutions(encoder.model.config)
        self.hop_samples, self.reach_samples = hop, reach
        self.rate = rate
        self.hop = hop / rate
        self.first = reach / 2 / rate

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Encode one utterance.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples, ``[samples]``. Longer input than the model supports (30 s for
            Whisper) is encoded in several pieces.

        Returns
        -------
        torch.Tensor
            Frames every ``hop`` seconds, the first one centered at ``first``, with
            all layers concatenated, ``[frames, layers * features]``.
        """
        return self.encode([waveform])[0]

    def encode(self, waveforms: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Encode several utterances; see ``forward``.

        ``TrimmedWhisper`` encodes utterances of equal length in a batch; other
        models encode them one by one.
        """
        pieces = [w.split(self.longest or len(w)) for w in waveforms]
        flat = [piece for each in pieces for piece in each]
        batches = defaultdict(list)
        for i, piece in enumerate(flat):
            batches[self._batch_of(i, len(piece))].append(i)
        encoded = [None] * len(flat)
        for (_, samples), members in batches.items():
            size = MAX_BATCH
            if flat[members[0]].is_cuda:
                size = max(1, int(MAX_SECONDS * self.rate / samples))
            for some in (
                members[i : i + size] for i in range(0, len(members), size)
            ):
                padded = [
                    torch.nn.functional.pad(own, (0, samples - len(own)))
                    for own in (flat[i] for i in some)
                ]
                for i, frames in zip(some, self._layers(torch.stack(padded))):
                    encoded[i] = frames
        if self.longest:
            encoded = [
                frames[: math.ceil(len(piece) / self.hop_samples)]
                for frames, piece in zip(encoded, flat)
            ]
        encoded = iter(encoded)
        return [torch.cat([next(encoded) for _ in each]) for each in pieces]

    def _batch_of(self, i: int, samples: int) -> tuple[int | None, int]:
        """Return the batch of a piece and the padded number of samples."""
        if isinstance(self.encoder, TrimmedWhisper):
            return None, self.encoder.filled_samples(samples)
        return i, max(samples, self.reach_samples + 1)

    def _layers(self, waveforms):
        """Return all layers, ``[batch, frames, layers * features]``."""
        hidden = self.encoder(waveforms)
        layers = hidden if self.all_layers else hidden[None]
        return layers.permute(1, 2, 0, 3).flatten(2)


def _convolutions(config: Any) -> tuple[int, int]:
    """Return the hop and the receptive field, minus one, of a stack of convolutions."""
    hop, reach = 1, 0
    for kernel, stride in zip(config.conv_kernel, config.conv_stride):
        reach += (kernel - 1) * hop
        hop *= stride
    return hop, reach


def hidden_layers(build: Callable) -> tuple[int, int]:
    """Return the number of layers and features of a front end from its config.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.

    Returns
    -------
    layers, features : int
        Number of hidden layers, and number of features of each.

    Raises
    ------
    PretrainedError
        If the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    save_path = build.keywords["save_path"]
    config = load_pretrained(
        lambda place: AutoConfig.from_pretrained(
            place, cache_dir=save_path, trust_remote_code=False
        ),
        build.keywords["source"],
        save_path,
    )
    # num_hidden_layers of Whisper includes the decoder.
    layers = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    every = build.keywords.get("output_all_hiddens", False)
    return (layers + 1 if every else 1), config.hidden_size


def train_upper_layers(encoder: torch.nn.Module, count: int) -> None:
    """Freeze all but the upper transformer layers of a model and its final norm.

    Raises ``PretrainedError`` if it has fewer layers.
    """
    transformer = encoder.model.encoder
    if not 0 <= count <= len(transformer.layers):
        raise PretrainedError(
            f"trained_layers is {count}, but the model has only "
            f"{len(transformer.layers)} layers"
        )
    encoder.requires_grad_(False)
    for layer in transformer.layers[len(transformer.layers) - count :]:
        layer.requires_grad_(True)
    transformer.layer_norm.requires_grad_(True)


class PretrainedFrames(torch.nn.Module):
    """Pretrained speech encoder that is fine-tuned with the model.

    A frame encoder of ``WordEncoder`` for ``SegmentSamples``: it encodes whole
    utterances and assigns each output frame to the word that contains its center.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.
    sample_rate : int
        Sample rate in Hz.
    freeze : bool
        Whether the encoder is frozen. Unlike cached features, a frozen encoder
        still encodes each utterance in every epoch.
    trained_layers : int or None
        Number of upper transformer layers to train; lower layers are frozen.
        None trains all layers.
    gradient_checkpointing : bool
        Whether to recompute activations in the backward pass, which saves memory
        and takes more time.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain.integrations.huggingface.wavlm import WavLM
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> encoder = PretrainedFrames(  # doctest: +SKIP
    ...     partial(
    ...         WavLM, source="microsoft/wavlm-base", save_path="pretrained"
    ...     )
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(16000, 1),
    ...     frame_counts=torch.tensor([6400, 9600]),
    ...     word_counts=torch.tensor([2]),
    ... )
    >>> encoder(audio).frames.shape  # doctest: +SKIP
    torch.Size([49, 768])
    """

    def __init__(
        self,
        build: Callable,
        sample_rate: int = 16000,
        freeze: bool = False,
        trained_layers: int | None = None,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        layers, features = hidden_layers(build)
        self.front_end = FrontEnd(build, sample_rate, freeze)
        if trained_layers is not None:
            train_upper_layers(self.front_end.encoder, trained_layers)
        if gradient_checkpointing:
            self.front_end.encoder.model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        self.layer_weights = LayerWeights(layers, layers * features)
        self.output_size = self.layer_weights.output_size
        self.sample_rate = sample_rate

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode the samples of words, as returned by ``SegmentSamples``."""
        sample_counts = utterance_frame_counts(audio).tolist()
        ends = torch.cumsum(audio.frame_counts, 0)
        bounds = torch.stack([ends - audio.frame_counts, ends], dim=1)
        # double precision, because a frame may be centered on a word boundary
        bounds = bounds.double() / self.sample_rate
        waveforms = audio.frames[:, 0].split(sample_counts)
        frames, counts = [], []
        for encoded, segments in zip(
            self.front_end.encode(waveforms),
            bounds.split(audio.word_counts.tolist()),
        ):
            chosen, chosen_counts = frames_of_words(
                segments - segments[0, 0],
                len(encoded),
                self.front_end.first,
                self.front_end.hop,
            )
            chosen = send(chosen, encoded.device)
            frames.append(encoded.index_select(0, chosen))
            counts.append(chosen_counts)
        return self.layer_weights(
            audio._replace(
                frames=torch.cat(frames), frame_counts=torch.cat(counts)
            )
        )
