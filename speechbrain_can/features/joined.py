"""Concatenation of word features."""

from typing import Sequence

import torch


class JoinedFeatures(torch.nn.Module):
    """Concatenate several features with one frame per word.

    ``JoinedFrames`` contains one encoder for each of them.

    Arguments
    ---------
    parts : list of torch.nn.Module
        Modules that map a waveform and segments to one frame per segment, such
        as ``SegmentHidden`` and ``SegmentEgemaps``.

    Example
    -------
    >>> from speechbrain_can.features.egemaps import SegmentEgemaps
    >>> features = JoinedFeatures([SegmentEgemaps(), SegmentEgemaps()])
    >>> features.sizes, features.output_size
    ([88, 88], 176)
    """

    def __init__(self, parts: Sequence[torch.nn.Module]):
        super().__init__()
        rates = {part.sample_rate for part in parts}
        if len(rates) > 1 or any(
            hasattr(part, "needs_words") for part in parts
        ):
            raise ValueError(
                "only features with the same sample rate that do not depend on "
                f"words can be joined; the sample rates are {sorted(rates)} Hz"
            )
        self.parts = torch.nn.ModuleList(parts)
        self.sizes = [part.output_size for part in parts]
        self.output_size = sum(self.sizes)
        self.sample_rate = parts[0].sample_rate

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the features of one utterance.

        Returns frames ``[words, features of all parts]`` and ones ``[words]``. Raises
        ``ValueError`` if a part returns several frames per word.
        """
        found = [part(waveform, segments) for part in self.parts]
        for part, (_, counts) in zip(self.parts, found):
            if (counts != 1).any():
                raise ValueError(
                    f"{type(part).__name__} returns several frames per word, which "
                    "cannot be joined. Set pooled: True."
                )
        return torch.cat([frames for frames, _ in found], dim=1), found[0][1]
