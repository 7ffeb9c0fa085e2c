"""Pretrained speech encoders from Hugging Face (extra ``huggingface``)."""

import math
from collections import defaultdict

import torch

from speechbrain_can.hub import PretrainedError
from speechbrain_can.integrations.loading import (
    PretrainedModule,
    load_pretrained,
)
from speechbrain_can.integrations.whisper import CutWhisper
from speechbrain_can.lobes.audio import LayerWeights
from speechbrain_can.lobes.pooling import frames_of_words
from speechbrain_can.lobes.ragged import utterance_frame_counts

# Utterances of one length that are heard at once, which bounds the memory
AT_ONCE = 16


class FrontEnd(PretrainedModule):
    """A pretrained speech model of SpeechBrain's, each utterance as if alone.

    Alone an utterance needs no padding, which these models do not mask all
    alike, and is normalised by itself: what it gets depends on no other.

    Arguments
    ---------
    build : callable
        Builds one of ``speechbrain.integrations.huggingface``: ``Wav2Vec2``,
        ``HuBERT``, ``WavLM``, or ``Whisper`` with ``encoder_only``; or our
        ``CutWhisper``. In YAML it is a ``!name:`` with ``source``,
        ``save_path`` and whatever else it takes; ``freeze`` belongs to this
        class.
    sample_rate : int
        Rate in Hz of what it will hear.
    freeze : bool
        Whether it stays as it is.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded or takes another rate.
    """

    def __init__(self, build, sample_rate=16000, freeze=True):
        source = build.keywords["source"]
        encoder = load_pretrained(
            lambda place: build(source=place, freeze=freeze),
            source,
            build.keywords["save_path"],
        )
        rate = encoder.feature_extractor.sampling_rate
        if rate != sample_rate:
            raise PretrainedError(
                f"{source!r} takes audio of {rate} Hz, not of {sample_rate}; "
                f"set --sample_rate={rate}"
            )
        super().__init__(encoder, freeze)
        self.all_layers = encoder.output_all_hiddens
        # A layer left out in training would be missing among the weighted ones.
        encoder.model.config.layerdrop = 0.0
        extractor = encoder.feature_extractor
        # Samples that a call takes, of a model with so many positions.
        self.longest = getattr(extractor, "n_samples", None)
        if self.longest:
            # Whisper: mel frames around multiples of the hop, every other one
            hop, reach = 2 * extractor.hop_length, 0
        else:
            hop, reach = _convolutions(encoder.model.config)
        self.hop_samples, self.reach_samples = hop, reach
        self.hop = hop / rate
        self.first = reach / 2 / rate

    def forward(self, waveform):
        """Hears one utterance.

        Arguments
        ---------
        waveform : torch.Tensor
            Shape ``[samples]``; one that is longer than the model's positions
            (Whisper's 30 s) is heard in several pieces.

        Returns
        -------
        torch.Tensor
            Frames every ``hop`` seconds, the first one's centre at ``first``;
            all layers of a frame one after the other, shape ``[frames, layers *
            features]``.
        """
        return self.hear([waveform])[0]

    def hear(self, waveforms):
        """Hears utterances: a list of what ``forward`` gives for each.

        ``CutWhisper`` hears those of one length at once, which changes
        nothing but the time; other models hear one by one.
        """
        pieces = [w.split(self.longest or len(w)) for w in waveforms]
        flat = [piece for each in pieces for piece in each]
        batches = defaultdict(list)
        for i, piece in enumerate(flat):
            batches[self._batch_of(i, len(piece))].append(i)
        heard = [None] * len(flat)
        for (_, samples), members in batches.items():
            for some in (
                members[i : i + AT_ONCE]
                for i in range(0, len(members), AT_ONCE)
            ):
                padded = [
                    torch.nn.functional.pad(own, (0, samples - len(own)))
                    for own in (flat[i] for i in some)
                ]
                for i, frames in zip(some, self._hear(torch.stack(padded))):
                    heard[i] = frames
        if self.longest:
            heard = [
                frames[: math.ceil(len(piece) / self.hop_samples)]
                for frames, piece in zip(heard, flat)
            ]
        heard = iter(heard)
        return [torch.cat([next(heard) for _ in each]) for each in pieces]

    def _batch_of(self, i, samples):
        """A batch's name, and the samples of each of its utterances."""
        if isinstance(self.encoder, CutWhisper):
            return None, self.encoder.filled_samples(samples)
        return i, max(samples, self.reach_samples + 1)

    def _hear(self, waveforms):
        """Frames ``[batch, frames, layers * features]``."""
        hidden = self.encoder(waveforms)
        layers = hidden if self.all_layers else hidden[None]
        return layers.permute(1, 2, 0, 3).flatten(2)


def _convolutions(config):
    """Hop of a stack of convolutions and how far beyond a sample it reaches."""
    hop, reach = 1, 0
    for kernel, stride in zip(config.conv_kernel, config.conv_stride):
        reach += (kernel - 1) * hop
        hop *= stride
    return hop, reach


def hidden_layers(build):
    """Layers and features of a front end, from its configuration alone.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.

    Returns
    -------
    layers, features : int
        Hidden layers that it gives, and features of each.

    Raises
    ------
    PretrainedError
        If the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    save_path = build.keywords["save_path"]
    config = load_pretrained(
        lambda place: AutoConfig.from_pretrained(place, cache_dir=save_path),
        build.keywords["source"],
        save_path,
    )
    # Whisper has a decoder too, which it does not need here.
    layers = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    every = build.keywords.get("output_all_hiddens", False)
    return (layers + 1 if every else 1), config.hidden_size


def train_upper_layers(encoder, count):
    """Freezes all but the upper transformer layers of a model, and its norm.

    Raises ``PretrainedError`` if it has not so many.
    """
    transformer = encoder.model.encoder
    if not 0 <= count <= len(transformer.layers):
        raise PretrainedError(
            f"trained_layers is {count}, and the model has "
            f"{len(transformer.layers)} layers"
        )
    encoder.requires_grad_(False)
    for layer in transformer.layers[len(transformer.layers) - count :]:
        layer.requires_grad_(True)
    transformer.layer_norm.requires_grad_(True)


class PretrainedFrames(torch.nn.Module):
    """A front end that hears whole utterances and is trained with the model.

    A frame encoder of ``WordEncoder`` for ``SegmentSamples``: samples in, frames
    at the model's own rate out, each with the word that its centre lies in.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.
    sample_rate : int
        Rate of the samples in Hz.
    freeze : bool
        Whether it stays as it is. It hears an utterance in every epoch all the
        same, which stored features do not.
    trained_layers : int or None
        How many transformer layers from the top are trained, and nothing below
        them; None for everything.

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
        self, build, sample_rate=16000, freeze=False, trained_layers=None
    ):
        super().__init__()
        layers, features = hidden_layers(build)
        self.front_end = FrontEnd(build, sample_rate, freeze)
        if trained_layers is not None:
            train_upper_layers(self.front_end.encoder, trained_layers)
        self.layer_weights = LayerWeights(layers, layers * features)
        self.output_size = self.layer_weights.output_size
        self.sample_rate = sample_rate

    def forward(self, audio):
        """Encodes the audio of a batch.

        Arguments
        ---------
        audio : WordFrames
            The samples of every word, as ``SegmentSamples`` has them.

        Returns
        -------
        WordFrames
            The frames of every word.
        """
        sample_counts = utterance_frame_counts(audio).tolist()
        ends = torch.cumsum(audio.frame_counts, 0)
        bounds = torch.stack([ends - audio.frame_counts, ends], dim=1)
        # in double precision: a frame's centre may lie where two words meet
        bounds = bounds.double() / self.sample_rate
        waveforms = audio.frames[:, 0].split(sample_counts)
        frames, counts = [], []
        for heard, segments in zip(
            self.front_end.hear(waveforms),
            bounds.split(audio.word_counts.tolist()),
        ):
            chosen, chosen_counts = frames_of_words(
                segments - segments[0, 0],
                len(heard),
                self.front_end.first,
                self.front_end.hop,
            )
            frames.append(heard[chosen])
            counts.append(chosen_counts)
        encoded = audio._replace(
            frames=torch.cat(frames), frame_counts=torch.cat(counts)
        )
        return self.layer_weights(encoded)
