"""From frames or subwords to words: every word gets one vector.

Steps are flat, those of the first word first, as everywhere in this package;
``counts`` says how many each word has."""

import torch

from speechbrain_can.lobes.ragged import mean_over_steps, step_positions


class MeanPooling(torch.nn.Module):
    """The mean over the steps of each word.

    Arguments
    ---------
    input_size : int
        Features of a step.

    Example
    -------
    >>> pooling = MeanPooling(1)
    >>> pooling(torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([2, 1]))
    tensor([[1.5000],
            [5.0000]])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, steps, counts):
        """Pools.

        Arguments
        ---------
        steps : torch.Tensor
            Shape ``[steps, features]``.
        counts : torch.Tensor
            Steps of each word, none zero, shape ``[words]``.

        Returns
        -------
        torch.Tensor
            Shape ``[words, features]``.
        """
        return mean_over_steps(steps, counts)


class StatisticsPooling(torch.nn.Module):
    """The mean and the standard deviation over the steps of each word.

    Arguments
    ---------
    input_size : int
        Features of a step.

    Example
    -------
    >>> pooling = StatisticsPooling(1)
    >>> steps = torch.tensor([[1.0], [3.0], [5.0]])
    >>> pooling(steps, torch.tensor([2, 1])).round(decimals=3)
    tensor([[2., 1.],
            [5., 0.]])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, steps, counts):
        """Pools.

        Arguments
        ---------
        steps : torch.Tensor
            Shape ``[steps, features]``.
        counts : torch.Tensor
            Steps of each word, none zero, shape ``[words]``.

        Returns
        -------
        torch.Tensor
            Means beside deviations, shape ``[words, 2 * features]``.
        """
        words, _ = step_positions(counts)
        # squares need more than the digits and the range of half precision
        with torch.autocast(steps.device.type, enabled=False):
            values = steps.float()
            mean = mean_over_steps(values, counts)
            variance = mean_over_steps((values - mean[words]).square(), counts)
            # a word of one step has no slope to learn from at 0
            deviation = (variance + 1e-12).sqrt()
            pooled = torch.cat([mean, deviation], dim=-1)
        return pooled.to(steps.dtype)


class AttentionPooling(torch.nn.Module):
    """A weighted mean over the steps of each word; the weights are learnt.

    A step's weight is the softmax, over the steps of its word, of its product
    with a query. It starts as the mean.

    Arguments
    ---------
    input_size : int
        Features of a step, which is the number of parameters.

    Example
    -------
    >>> pooling = AttentionPooling(3)
    >>> pooling(torch.randn(5, 3), torch.tensor([2, 3])).shape
    torch.Size([2, 3])
    """

    def __init__(self, input_size):
        super().__init__()
        self.query = torch.nn.Parameter(torch.zeros(input_size))
        self.output_size = input_size

    def forward(self, steps, counts):
        """Pools.

        Arguments
        ---------
        steps : torch.Tensor
            Shape ``[steps, features]``.
        counts : torch.Tensor
            Steps of each word, none zero, shape ``[words]``.

        Returns
        -------
        torch.Tensor
            Shape ``[words, features]``.
        """
        words, _ = step_positions(counts)
        # Sums over many steps need more than the digits of bfloat16.
        with torch.autocast(steps.device.type, enabled=False):
            values = steps.to(self.query.dtype)
            scores = values @ self.query
            # The largest score of each word is taken off: exp cannot overflow.
            largest = scores.new_full((len(counts),), -torch.inf)
            largest = largest.scatter_reduce(0, words, scores.detach(), "amax")
            weights = torch.exp(scores - largest[words])
            sums = weights.new_zeros(len(counts)).index_add(0, words, weights)
            weights = weights / sums[words]
            pooled = values.new_zeros(len(counts), values.shape[1])
            pooled = pooled.index_add(0, words, weights[:, None] * values)
        return pooled.to(steps.dtype)


def frames_of_words(segments, n_frames, first, hop):
    """The frames of each word, from those of its utterance.

    A frame is a word's if its centre lies within the word: at its start or
    after it, and before its end. A word without any, shorter than the hop or
    beyond the last frame, has the one that is nearest to its middle.

    Arguments
    ---------
    segments : torch.Tensor
        Start and end of each word in seconds, shape ``[words, 2]``.
    n_frames : int
        Frames of the utterance, at least one.
    first : float
        Centre of the first frame in seconds.
    hop : float
        Seconds from one frame to the next.

    Returns
    -------
    frames : torch.Tensor
        Which frames, word after word; a frame where words overlap is that of
        both, shape ``[frames of all words]``.
    counts : torch.Tensor
        Frames of each word, none zero, shape ``[words]``.

    Example
    -------
    >>> segments = torch.tensor([[0.0, 0.05], [0.04, 0.05], [0.05, 0.06]])
    >>> frames_of_words(segments, n_frames=3, first=0.0, hop=0.02)
    (tensor([0, 1, 2, 2, 2]), tensor([3, 1, 1]))
    """
    # in hops; a margin, since 0.04 / 0.02 may come out below 2
    positions = (segments.double() - first) / hop
    bounds = torch.ceil(positions - 1e-6).long().clamp(0, n_frames)
    middle = positions.mean(dim=1).round().long().clamp(0, n_frames - 1)
    starts, ends = bounds.unbind(1)
    empty = ends <= starts
    starts = torch.where(empty, middle, starts)
    counts = torch.where(empty, 1, ends - starts)
    words, offsets = step_positions(counts)
    return starts[words] + offsets, counts
