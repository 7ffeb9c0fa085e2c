"""Features of words from frozen pretrained speech models, for the store
(extra ``huggingface``).

Authors
 * The speechbrain-can developers 2026
"""

import torch
from torch.utils.data import get_worker_info

from speechbrain_can.integrations.loading import PretrainedError, model_version
from speechbrain_can.integrations.speech import FrontEnd, hidden_layers
from speechbrain_can.lobes.pooling import MeanPooling, frames_of_words


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

    def __init__(self, build, sample_rate=16000, pooled=True, device="cpu"):
        super().__init__()
        self.build = build
        self.sample_rate = sample_rate
        self.pooled = pooled
        self.device = torch.device(device)
        self.layers, self.features = hidden_layers(build)
        self.output_size = self.layers * self.features
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
        )

    @torch.no_grad()
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
        if self.device.type != "cpu" and get_worker_info():
            raise PretrainedError(
                f"workers cannot share {self.device}; set --feature_workers=0"
            )
        if not self._front_end:
            front_end = FrontEnd(self.build, self.sample_rate)
            self._front_end = (front_end.to(self.device),)
        (front_end,) = self._front_end
        heard = front_end(waveform.to(self.device)).cpu()
        chosen, counts = frames_of_words(
            segments, len(heard), front_end.first, front_end.hop
        )
        frames = heard[chosen]
        if self.pooled:
            frames = MeanPooling(self.output_size)(frames, counts)
            counts = torch.ones_like(counts)
        return frames, counts
