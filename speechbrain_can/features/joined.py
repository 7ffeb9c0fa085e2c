"""Features of words side by side."""

import torch


class JoinedFeatures(torch.nn.Module):
    """Several features that have one frame a word, in one frame.

    ``JoinedFrames`` has an encoder for each of them.

    Arguments
    ---------
    parts : list of torch.nn.Module
        From a waveform and segments to one frame a segment, such as
        ``SegmentHidden`` and ``SegmentEgemaps``.

    Example
    -------
    >>> from speechbrain_can.features.egemaps import SegmentEgemaps
    >>> features = JoinedFeatures([SegmentEgemaps(), SegmentEgemaps()])
    >>> features.sizes, features.output_size
    ([88, 88], 176)
    """

    def __init__(self, parts):
        super().__init__()
        rates = {part.sample_rate for part in parts}
        if len(rates) > 1 or any(hasattr(part, "reads") for part in parts):
            raise ValueError(
                "features stand side by side where they hear the same rate and "
                f"read no words; the rates are {sorted(rates)} Hz"
            )
        self.parts = torch.nn.ModuleList(parts)
        self.sizes = [part.output_size for part in parts]
        self.output_size = sum(self.sizes)
        self.sample_rate = parts[0].sample_rate

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
            Shape ``[words, features of all parts]``.
        frame_counts : torch.Tensor
            Ones, shape ``[words]``.

        Raises
        ------
        ValueError
            If a part has more than one frame a word.
        """
        found = [part(waveform, segments) for part in self.parts]
        for part, (_, counts) in zip(self.parts, found):
            if (counts != 1).any():
                raise ValueError(
                    f"{type(part).__name__} has several frames a word, which "
                    "nothing can stand beside; set pooled: True"
                )
        return torch.cat([frames for frames, _ in found], dim=1), found[0][1]
