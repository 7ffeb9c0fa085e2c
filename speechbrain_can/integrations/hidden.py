"""Features of words from frozen pretrained speech models, for the store
(extra ``huggingface``)."""

import torch
from torch.utils.data import get_worker_info

from speechbrain_can.hub import PretrainedError
from speechbrain_can.integrations.loading import model_version
from speechbrain_can.integrations.speech import FrontEnd, hidden_layers
from speechbrain_can.integrations.whisper import decoder_states
from speechbrain_can.lobes.pooling import (
    MeanPooling,
    StatisticsPooling,
    frames_of_words,
)


class SegmentHidden(torch.nn.Module):
    """Hidden layers of a frozen speech model for each segment.

    The model hears each utterance once, when features are stored; training
    never loads it. ``LayerWeights`` mixes the layers.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.
    sample_rate : int
        Rate in Hz at which audio is read, that of the model.
    pooled : bool
        Whether only the mean over each word is kept, one frame a word: a
        twentieth of the disk, exact for ``MeanPooling``. False keeps the frames,
        for ``AttentionPooling``.
    device : str
        Where the model hears, such as ``cuda:0``.
    deviation : bool
        Whether the standard deviation over each word follows the mean, layer by
        layer: twice the features.
    batch_size : int
        Utterances of about the same length that ``CutWhisper`` hears at once.

    Raises
    ------
    ValueError
        If deviations are asked for of what is not pooled.

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
        build,
        sample_rate=16000,
        pooled=True,
        device="cpu",
        deviation=False,
        batch_size=8,
    ):
        super().__init__()
        if deviation and not pooled:
            raise ValueError("a deviation is that of a word; set pooled: True")
        self.build = build
        self.sample_rate = sample_rate
        self.pooled = pooled
        self.device = torch.device(device)
        self.deviation = deviation
        self.batch_size = batch_size
        self.layers, self.features = hidden_layers(build)
        self.output_size = self.layers * self.features * (1 + deviation)
        # loaded by each process that needs it
        self._front_end = ()

    def __getstate__(self):
        return {**self.__dict__, "_front_end": ()}

    def extra_repr(self):
        """The settings, which also name the stored features."""
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
        )

    def forward(self, waveform, segments):
        """Computes the features of one utterance.

        Arguments
        ---------
        waveform : torch.Tensor
            Shape ``[samples]``.
        segments : torch.Tensor
            Start and end of each segment in seconds, shape ``[words, 2]``.

        Returns
        -------
        frames : torch.Tensor
            Shape ``[frames, layers * features]``.
        frame_counts : torch.Tensor
            Frames of each segment, at least one, shape ``[words]``.

        Raises
        ------
        PretrainedError
            If the model cannot be loaded, takes another rate, or would be on a
            GPU in a worker process.
        """
        return self.batch([waveform], [segments])[0]

    def batch(self, waveforms, segments):
        """Computes the features of utterances: what ``forward`` gives for each."""
        front_end, heard = self._hear(waveforms)
        return [
            self._of_words(frames, own, front_end)
            for frames, own in zip(heard, segments)
        ]

    @torch.no_grad()
    def _hear(self, waveforms):
        """The front end, and the frames of each utterance."""
        if self.device.type != "cpu" and get_worker_info():
            raise PretrainedError(
                f"workers cannot share {self.device}; set --feature_workers=0, "
                "and --num_workers=0 where waveforms are augmented"
            )
        if not self._front_end:
            front_end = FrontEnd(self.build, self.sample_rate)
            self._front_end = (front_end.to(self.device),)
        (front_end,) = self._front_end
        return front_end, front_end.hear([w.to(self.device) for w in waveforms])

    def _of_words(self, heard, segments, front_end):
        heard = heard.cpu()
        chosen, counts = frames_of_words(
            segments, len(heard), front_end.first, front_end.hop
        )
        frames = heard[chosen]
        if self.deviation:
            pooled = StatisticsPooling(frames.shape[1])(frames, counts)
            # layer by layer, as LayerWeights takes them
            by_layer = pooled.unflatten(1, (2, self.layers, self.features))
            frames = by_layer.transpose(1, 2).flatten(1)
        elif self.pooled:
            frames = MeanPooling(frames.shape[1])(frames, counts)
        if self.pooled:
            counts = torch.ones_like(counts)
        return frames, counts


class SegmentWhisper(SegmentHidden):
    """Whisper's encoder and what its decoder makes of each word, frozen.

    The decoder reads the words of the utterance, teacher-forced, while it hears
    the utterance. A word's text vector, the mean of the decoder's last layer
    over the word's subwords, stands before what the encoder gives;
    ``StoredTextNetwork`` takes them apart.

    Arguments
    ---------
    build : callable
        Builds a ``CutWhisper`` with its decoder.
    language : str
        A code such as ``en``, of what is said.
    **options
        As for ``SegmentHidden``, with ``pooled``.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain_can.integrations.whisper import CutWhisper
    >>> build = partial(
    ...     CutWhisper,
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

    # what is computed depends on the words, see features.store.describe
    reads = True

    def __init__(self, build, language="en", **options):
        super().__init__(build, **options)
        if not self.pooled:
            raise ValueError("a word has one text vector; set pooled: True")
        self.language = language
        self.text_size = self.features
        self.audio_size = self.output_size
        self.output_size = self.text_size + self.audio_size

    def extra_repr(self):
        """The settings, which also name the stored features."""
        return f"{super().extra_repr()}, language={self.language}"

    def forward(self, waveform, segments, words):
        """Computes the features of one utterance.

        Arguments
        ---------
        waveform : torch.Tensor
            Shape ``[samples]``.
        segments : torch.Tensor
            Start and end of each segment in seconds, shape ``[words, 2]``.
        words : list of str
            The word of each segment.

        Returns
        -------
        frames : torch.Tensor
            Shape ``[words, text_size + audio_size]``.
        frame_counts : torch.Tensor
            Ones, shape ``[words]``.
        """
        return self.batch([waveform], [segments], [words])[0]

    def batch(self, waveforms, segments, words):
        """Computes the features of utterances: what ``forward`` gives for each."""
        front_end, heard = self._hear(waveforms)
        found = []
        for frames, own, texts in zip(heard, segments, words):
            audio, counts = self._of_words(frames, own, front_end)
            last_layer = frames[:, -self.features :]
            text = decoder_states(
                front_end.encoder, last_layer, texts, self.language
            )
            found.append((torch.cat([text.cpu(), audio], dim=1), counts))
        return found
