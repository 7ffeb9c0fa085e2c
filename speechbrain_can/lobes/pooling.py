"""Pooling of frames or subwords to words: one vector per word.

Steps are flat, with those of the first word first; ``counts`` contains the number of
steps of each word.
"""

from typing import Tuple

import torch

from speechbrain_can.lobes.ragged import mean_over_steps, step_positions


class MeanPooling(torch.nn.Module):
    """Mean over the steps of each word.

    Arguments
    ---------
    input_size : int
        Features per step.

    Example
    -------
    >>> pooling = MeanPooling(1)
    >>> pooling(torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([2, 1]))
    tensor([[1.5000],
            [5.0000]])
    """

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = input_size

    def forward(
        self, steps: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Pool steps ``[steps, features]`` to ``[words, features]``."""
        return mean_over_steps(steps, counts)


class StatisticsPooling(torch.nn.Module):
    """Mean and standard deviation over the steps of each word.

    Arguments
    ---------
    input_size : int
        Features per step.

    Example
    -------
    >>> pooling = StatisticsPooling(1)
    >>> steps = torch.tensor([[1.0], [3.0], [5.0]])
    >>> pooling(steps, torch.tensor([2, 1])).round(decimals=3)
    tensor([[2., 1.],
            [5., 0.]])
    """

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = 2 * input_size

    def forward(
        self, steps: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Pool steps ``[steps, features]`` to ``[words, 2 * features]``."""
        words, _ = step_positions(counts, steps.device)
        # squares exceed the precision and range of half precision
        with torch.autocast(steps.device.type, enabled=False):
            values = steps.float()
            mean = mean_over_steps(values, counts)
            variance = mean_over_steps((values - mean[words]).square(), counts)
            # the square root has no finite gradient at 0
            deviation = (variance + 1e-12).sqrt()
            pooled = torch.cat([mean, deviation], dim=-1)
        return pooled.to(steps.dtype)


class AttentionPooling(torch.nn.Module):
    """Learned weighted mean over the steps of each word.

    The weights are the softmax, over the steps of a word, of the product with a
    query. Initially they are equal.

    Arguments
    ---------
    input_size : int
        Features per step, which is the number of parameters.

    Example
    -------
    >>> pooling = AttentionPooling(3)
    >>> pooling(torch.randn(5, 3), torch.tensor([2, 3])).shape
    torch.Size([2, 3])
    """

    def __init__(self, input_size: int):
        super().__init__()
        self.query = torch.nn.Parameter(torch.zeros(input_size))
        self.output_size = input_size

    def forward(
        self, steps: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Pool steps ``[steps, features]`` to ``[words, features]``."""
        words, _ = step_positions(counts, steps.device)
        # Sums over many steps exceed the precision of bfloat16.
        with torch.autocast(steps.device.type, enabled=False):
            values = steps.to(self.query.dtype)
            scores = values @ self.query
            # Subtract the largest score of each word, so that exp cannot overflow.
            largest = scores.new_full((len(counts),), -torch.inf)
            largest = largest.scatter_reduce(0, words, scores.detach(), "amax")
            weights = torch.exp(scores - largest[words])
            sums = weights.new_zeros(len(counts)).index_add(0, words, weights)
            weights = weights / sums[words]
            pooled = values.new_zeros(len(counts), values.shape[1])
            pooled = pooled.index_add(0, words, weights[:, None] * values)
        return pooled.to(steps.dtype)


def frames_of_words(
    segments: torch.Tensor, n_frames: int, first: float, hop: float
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Assign the frames of an utterance to its words.

    A frame belongs to a word if its center is in the interval from the start of the
    word (inclusive) to its end (exclusive). A word without such a frame gets the
    frame nearest to its middle.

    Arguments
    ---------
    segments : torch.Tensor
        Start and end of each word in seconds, ``[words, 2]``.
    n_frames : int
        Frames of the utterance, at least one.
    first : float
        Center of the first frame in seconds.
    hop : float
        Seconds between frames.

    Returns
    -------
    frames : torch.Tensor
        Indices of the frames, word by word, ``[frames of all words]``; where
        words overlap, a frame occurs repeatedly.
    counts : torch.Tensor
        Frames per word, at least one, ``[words]``.

    Example
    -------
    >>> segments = torch.tensor([[0.0, 0.05], [0.04, 0.05], [0.05, 0.06]])
    >>> frames_of_words(segments, n_frames=3, first=0.0, hop=0.02)
    (tensor([0, 1, 2, 2, 2]), tensor([3, 1, 1]))
    """
    # Unit: hops. The margin compensates for rounding, such as 0.04 / 0.02 < 2.
    positions = (segments.double() - first) / hop
    bounds = torch.ceil(positions - 1e-6).long().clamp(0, n_frames)
    middle = positions.mean(dim=1).round().long().clamp(0, n_frames - 1)
    starts, ends = bounds.unbind(1)
    empty = ends <= starts
    starts = torch.where(empty, middle, starts)
    counts = torch.where(empty, 1, ends - starts)
    words, offsets = step_positions(counts)
    return starts[words] + offsets, counts
