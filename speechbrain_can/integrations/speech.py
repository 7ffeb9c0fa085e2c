"""Pretrained speech encoders from Hugging Face (extra ``huggingface``).

Authors
 * The speechbrain-can developers 2026
"""

import math

import torch

from speechbrain_can.integrations.loading import (
    PretrainedError,
    PretrainedModule,
    load_pretrained,
)
from speechbrain_can.lobes.audio import LayerWeights
from speechbrain_can.lobes.pooling import frames_of_words
from speechbrain_can.lobes.ragged import utterance_frame_counts


class FrontEnd(PretrainedModule):
    """A self-supervised speech model of SpeechBrain's, one utterance at a time.

    Alone an utterance needs no padding, which these models do not mask all
    alike, and is normalised by itself: what it gets depends on no other.

    Arguments
    ---------
    build : callable
        Builds one of ``speechbrain.integrations.huggingface``: ``Wav2Vec2``,
        ``HuBERT``, ``WavLM``, or ``Whisper`` with ``encoder_only``. In YAML it
        is a ``!name:`` with ``source``, ``save_path`` and whatever else it
        takes; ``freeze`` belongs to this class.
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
        encoder = load_pretrained(lambda: build(freeze=freeze), source)
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
        if not self.longest:
            missing = max(0, self.reach_samples + 1 - len(waveform))
            waveform = torch.nn.functional.pad(waveform, (0, missing))
            return self._hear(waveform)
        return torch.cat(
            [
                self._hear(piece)[: math.ceil(len(piece) / self.hop_samples)]
                for piece in waveform.split(self.longest)
            ]
        )

    def _hear(self, waveform):
        hidden = self.encoder(waveform[None])
        layers = hidden[:, 0] if self.all_layers else hidden
        return layers.transpose(0, 1).flatten(1)


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

    source = build.keywords["source"]
    config = load_pretrained(
        lambda: AutoConfig.from_pretrained(
            source, cache_dir=build.keywords["save_path"]
        ),
        source,
    )
    # Whisper has a decoder too, which it does not need here.
    layers = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    every = build.keywords.get("output_all_hiddens", False)
    return (layers + 1 if every else 1), config.hidden_size


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

    def __init__(self, build, sample_rate=16000, freeze=False):
        super().__init__()
        layers, features = hidden_layers(build)
        self.front_end = FrontEnd(build, sample_rate, freeze)
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
        frames, counts = [], []
        for samples, segments in zip(
            audio.frames[:, 0].split(sample_counts),
            bounds.split(audio.word_counts.tolist()),
        ):
            heard = self.front_end(samples)
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
