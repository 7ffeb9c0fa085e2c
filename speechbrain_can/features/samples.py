"""Raw samples of words, for speech encoders that are trained with the model."""

import torch

from speechbrain_can.features.segments import segment_samples


class SegmentSamples(torch.nn.Module):
    """Raw samples as features, for a pretrained encoder in the model.

    Each sample is a frame with one feature. Segments must be adjacent and must not
    overlap, because ``PretrainedFrames`` encodes the whole utterance.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> segments = torch.tensor([[0.0, 0.5], [0.5, 1.0]])
    >>> frames, counts = SegmentSamples()(torch.randn(16000), segments)
    >>> frames.shape, counts
    (torch.Size([16000, 1]), tensor([8000, 8000]))
    """

    output_size = 1

    def __init__(self, sample_rate: int = 16000):
        super().__init__()
        self.sample_rate = sample_rate

    def extra_repr(self):
        """Return the settings."""
        return f"sample_rate={self.sample_rate}"

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Split one utterance into its words.

        ``waveform`` ``[samples]`` is divided into ``segments`` ``[words, 2]`` in seconds.
        Returns ``[samples, 1]`` and the samples of each segment, ``[words]``. Raises
        ``ValueError`` if segments overlap or have gaps.
        """
        starts, lengths = segment_samples(
            segments, self.sample_rate, len(waveform)
        )
        ends = starts + lengths
        if (starts[1:] != ends[:-1]).any():
            raise ValueError(
                "segments of raw samples must be adjacent, but these overlap or "
                "have gaps. Set --overlap=0."
            )
        samples = waveform[starts[0] : ends[-1], None]
        return samples, torch.from_numpy(lengths)
