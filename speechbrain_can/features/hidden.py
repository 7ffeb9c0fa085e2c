"""Features from frozen pretrained speech models (extra ``huggingface``)."""

from typing import Callable

import torch
from torch.utils.data import get_worker_info

from speechbrain.utils.distributed import infer_device
from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.loading import model_version
from speechbrain_can.encoders.speech import FrontEnd, hidden_layers
from speechbrain_can.encoders.whisper import decoder_states
from speechbrain_can.lobes.pooling import (
    MeanPooling,
    StatisticsPooling,
    frames_of_words,
)
from speechbrain_can.lobes.ragged import send


class SegmentHidden(torch.nn.Module):
    """Hidden layers of a frozen speech model for each segment.

    The model encodes each utterance once, when features are cached; training does
    not load it. ``LayerWeights`` mixes the layers.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.
    sample_rate : int
        Sample rate of the model in Hz.
    pooled : bool
        Whether to store only the mean over each word, which takes a twentieth of
        the disk space and is exact for ``MeanPooling``. False stores all frames,
        for ``AttentionPooling``.
    device : str
        Device of the model, such as ``cuda:0``; ``auto`` selects a GPU if there is
        one.
    deviation : bool
        Whether to also store the standard deviation over each word.
    batch_size : int
        Number of utterances of similar length that ``TrimmedWhisper`` encodes
        at once on a CPU. A GPU encodes ``MAX_SECONDS`` of audio at once.
    half : bool
        Whether a GPU uses half precision, which is faster and rounds the features.

    Raises
    ------
    ValueError
        If ``deviation`` is set without ``pooled``.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain.integrations.huggingface.wavlm import WavLM
    >>> build = partial(
    ...     WavLM,
    ...     source="microsoft/wavlm-base",
    ...     save_path="pretrained",
    ...     output_all_hiddens=True,
    ... )
    >>> compute_features = SegmentHidden(build)  # doctest: +SKIP
    >>> segments = torch.tensor([[0.0, 0.4], [0.4, 1.0]])
    >>> frames, _ = compute_features(  # doctest: +SKIP
    ...     torch.randn(16000), segments
    ... )
    >>> frames.shape  # doctest: +SKIP
    torch.Size([2, 9984])
    """

    def __init__(
        self,
        build: Callable,
        sample_rate: int = 16000,
        pooled: bool = True,
        device: str = "cpu",
        deviation: bool = False,
        batch_size: int = 8,
        half: bool = False,
    ):
        super().__init__()
        if deviation and not pooled:
            raise ValueError(
                "deviation needs pooled features. Set pooled: True."
            )
        self.build = build
        self.sample_rate = sample_rate
        self.pooled = pooled
        self.device = torch.device(
            infer_device() if device == "auto" else device
        )
        self.deviation = deviation
        self.batch_size = batch_size
        self.half = half and self.device.type == "cuda"
        self.layers, self.features = hidden_layers(build)
        self.output_size = self.layers * self.features * (1 + deviation)
        # loaded on first use in each process
        self._front_end = ()

    def __getstate__(self):
        return {**self.__dict__, "_front_end": ()}

    def extra_repr(self):
        """Return the settings, which identify cached features."""
        settings = {
            key: value
            for key, value in self.build.keywords.items()
            if key != "save_path"
        }
        version = model_version(
            settings["source"], self.build.keywords["save_path"]
        )
        return (
            f"{self.build.func.__name__}, {sorted(settings.items())}, "
            f"{version}, "
            f"sample_rate={self.sample_rate}, pooled={self.pooled}"
            + (", deviation=True" if self.deviation else "")
            + (", half=True" if self.half else "")
        )

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the features of one utterance; see ``extract_features``.

        Returns frames ``[frames, layers * features]`` and the frames of each segment,
        ``[words]``. Raises ``PretrainedError`` if the model cannot be loaded, has
        another sample rate, or would be on a GPU in a worker process.
        """
        return self.batch([waveform], [segments])[0]

    def batch(self, waveforms, segments):
        """Compute the features of several utterances; see ``forward``."""
        front_end, encoded = self._encode(waveforms)
        return on_cpu(
            [
                self._of_words(frames, own, front_end)
                for frames, own in zip(encoded, segments)
            ]
        )

    @torch.no_grad()
    def _encode(self, waveforms):
        """Return the front end and the frames of each utterance."""
        if self.device.type != "cpu" and get_worker_info():
            raise PretrainedError(
                f"worker processes cannot use {self.device}. Set "
                "--feature_workers=0 and, when augmenting waveforms, "
                "--num_workers=0."
            )
        if not self._front_end:
            front_end = FrontEnd(self.build, self.sample_rate)
            self._front_end = (front_end.to(self.device),)
        (front_end,) = self._front_end
        waveforms = [send(waveform, self.device) for waveform in waveforms]
        with torch.autocast(self.device.type, torch.float16, self.half):
            encoded = front_end.encode(waveforms)
        return front_end, [frames.float() for frames in encoded]

    def _of_words(self, encoded, segments, front_end):
        """Return the frames of words on the device, and their counts on the CPU."""
        chosen, counts = frames_of_words(
            segments, len(encoded), front_end.first, front_end.hop
        )
        frames = encoded.index_select(0, send(chosen, encoded.device))
        if self.deviation:
            pooled = StatisticsPooling(frames.shape[1])(frames, counts)
            # order by layer, as LayerWeights expects
            by_layer = pooled.unflatten(1, (2, self.layers, self.features))
            frames = by_layer.transpose(1, 2).flatten(1)
        elif self.pooled:
            frames = MeanPooling(frames.shape[1])(frames, counts)
        if self.pooled:
            counts = torch.ones_like(counts)
        return frames, counts


def on_cpu(
    features: list[tuple[torch.Tensor, torch.Tensor]],
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return frames and counts of utterances on the CPU, with a single copy."""
    frames, counts = zip(*features)
    if frames[0].device.type == "cpu":
        return features
    flat = torch.cat(frames).cpu()
    return list(zip(flat.split([len(own) for own in frames]), counts))


class SegmentWhisper(SegmentHidden):
    """Frozen features of Whisper's encoder and decoder for each word.

    The decoder reads the words of the utterance (teacher forcing) and attends to
    the encoded audio. The text vector of a word, the mean of the last decoder layer
    over its subwords, precedes the encoder features. ``StoredTextNetwork`` splits
    the two.

    Arguments
    ---------
    build : callable
        Builds a ``TrimmedWhisper`` with its decoder.
    language : str
        Language code of the transcripts, such as ``en``.
    **options
        Arguments of ``SegmentHidden``, with ``pooled``.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain_can.encoders.whisper import TrimmedWhisper
    >>> build = partial(
    ...     TrimmedWhisper,
    ...     source="openai/whisper-base",
    ...     save_path="pretrained",
    ...     output_all_hiddens=True,
    ... )
    >>> compute_features = SegmentWhisper(build, "de")  # doctest: +SKIP
    >>> segments = torch.tensor([[0.0, 0.4], [0.4, 1.0]])
    >>> frames, _ = compute_features(  # doctest: +SKIP
    ...     torch.randn(16000), segments, ["guten", "Tag"]
    ... )
    """

    # see features.extraction.extract_features
    needs_words = True

    def __init__(self, build, language="en", **options):
        super().__init__(build, **options)
        if not self.pooled:
            raise ValueError(
                "text vectors need pooled features. Set pooled: True."
            )
        self.language = language
        self.text_size = self.features
        self.audio_size = self.output_size
        self.output_size = self.text_size + self.audio_size

    def extra_repr(self):
        """Return the settings, which identify cached features."""
        return f"{super().extra_repr()}, language={self.language}"

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor, words: list[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the features of one utterance from audio and words.

        Returns frames ``[words, text_size + audio_size]`` and ones ``[words]``.
        """
        return self.batch([waveform], [segments], [words])[0]

    def batch(self, waveforms, segments, words):
        """Compute the features of several utterances; see ``forward``."""
        front_end, encoded = self._encode(waveforms)
        found = []
        for frames, own, texts in zip(encoded, segments, words):
            audio, counts = self._of_words(frames, own, front_end)
            last_layer = frames[:, -self.features :]
            text = decoder_states(
                front_end.encoder, last_layer, texts, self.language
            )
            found.append((torch.cat([text, audio], dim=1), counts))
        return on_cpu(found)
