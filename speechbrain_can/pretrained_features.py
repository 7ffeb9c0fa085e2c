"""Features of words from frozen pretrained speech models, for the store
(extra ``huggingface``).

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import torch

from speechbrain_can.lobes.pooling import MeanPooling, frames_of_words
from speechbrain_can.lobes.pretrained import FrontEnd, hidden_layers


class SegmentHidden(torch.nn.Module):
    """Hidden layers of a frozen speech model for each segment.

    The model hears each utterance once, on the CPU, when features are stored;
    training never loads it. ``LayerWeights`` mixes the layers.

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
    """

    def __init__(self, build, sample_rate=16000, pooled=True):
        super().__init__()
        self.build = build
        self.sample_rate = sample_rate
        self.pooled = pooled
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
        return (
            f"{self.build.func.__name__}, {sorted(settings.items())}, "
            f"{_files(Path(settings['source']))}, "
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
            If the model cannot be loaded or takes another rate.
        """
        if not self._front_end:
            self._front_end = (FrontEnd(self.build, self.sample_rate),)
        (front_end,) = self._front_end
        heard = front_end(waveform)
        chosen, counts = frames_of_words(
            segments, len(heard), front_end.first, front_end.hop
        )
        frames = heard[chosen]
        if self.pooled:
            frames = MeanPooling(self.output_size)(frames, counts)
            counts = torch.ones_like(counts)
        return frames, counts


def _files(folder):
    """What a folder holds, since it may come to hold another model."""
    return [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(folder.glob("*"))
        if file.is_file()
    ]
