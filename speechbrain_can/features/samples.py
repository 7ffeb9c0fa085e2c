"""The samples of every word, for encoders that hear them."""

import torch

from speechbrain_can.features.segments import segment_samples


class SegmentSamples(torch.nn.Module):
    """The samples themselves, for a front end that hears with the model.

    Each sample is a frame of one feature. Segments must follow each other
    without overlap, so that those of an utterance are the utterance
    (``PretrainedFrames`` hears it whole).

    Arguments
    ---------
    sample_rate : int
        Rate of the waveform in Hz.

    Example
    -------
    >>> segments = torch.tensor([[0.0, 0.5], [0.5, 1.0]])
    >>> frames, counts = SegmentSamples()(torch.randn(16000), segments)
    >>> frames.shape, counts
    (torch.Size([16000, 1]), tensor([8000, 8000]))
    """

    output_size = 1

    def __init__(self, sample_rate=16000):
        super().__init__()
        self.sample_rate = sample_rate

    def extra_repr(self):
        """The settings."""
        return f"sample_rate={self.sample_rate}"

    def forward(self, waveform, segments):
        """Cuts one utterance into its words.

        Arguments
        ---------
        waveform : torch.Tensor
            Shape ``[samples]``.
        segments : torch.Tensor
            Start and end of each segment in seconds, shape ``[words, 2]``.

        Returns
        -------
        frames : torch.Tensor
            Shape ``[samples, 1]``.
        frame_counts : torch.Tensor
            Samples of each segment, shape ``[words]``.

        Raises
        ------
        ValueError
            If segments overlap or leave gaps.
        """
        starts, lengths = segment_samples(
            segments, self.sample_rate, len(waveform)
        )
        ends = starts + lengths
        if (starts[1:] != ends[:-1]).any():
            raise ValueError(
                "samples are cut where one word ends and the next begins, but "
                "these segments overlap or leave gaps; set --overlap=0"
            )
        samples = waveform[starts[0] : ends[-1], None]
        return samples, torch.from_numpy(lengths)
