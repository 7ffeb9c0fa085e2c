"""Sequences of unequal length without padding: flat steps and their counts.

A batch of S sequences is one tensor ``[steps, features]``, all steps of the
first sequence, then all of the second, and ``counts`` ``[sequences]``."""

from typing import NamedTuple

import numpy as np
import torch

# Time of a bucket and of each of its steps, in padded steps of an LSTM on a CPU
BUCKET_COST, STEP_COST = 300, 3


class WordFrames(NamedTuple):
    """The audio of a batch: the frames of every word.

    Arguments
    ---------
    frames : torch.Tensor
        All frames of all words, shape ``[frames, features]``.
    frame_counts : torch.Tensor
        Frames of each word, shape ``[words of the batch]``.
    word_counts : torch.Tensor
        Words of each utterance, shape ``[batch]``.
    """

    frames: torch.Tensor
    frame_counts: torch.Tensor
    word_counts: torch.Tensor


def step_positions(counts):
    """Sequence and position of each step, ``[steps]``, of ``counts`` ``[sequences]``.

    Example
    -------
    >>> step_positions(torch.tensor([2, 1]))
    (tensor([0, 0, 1]), tensor([0, 1, 0]))
    """
    sequences = torch.arange(
        len(counts), device=counts.device
    ).repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    positions = torch.arange(len(sequences), device=counts.device)
    return sequences, positions - first[sequences]


def utterance_frame_counts(audio):
    """Frames of each utterance of ``WordFrames``, ``[batch]``."""
    utterances, _ = step_positions(audio.word_counts)
    return torch.zeros_like(audio.word_counts).index_add(
        0, utterances, audio.frame_counts
    )


def real_steps(counts):
    """Mask of real steps, ``[batch, steps]``, of ``counts`` ``[batch]``.

    Example
    -------
    >>> real_steps(torch.tensor([2, 1]))
    tensor([[ True,  True],
            [ True, False]])
    """
    steps = torch.arange(int(counts.max()), device=counts.device)
    return steps < counts[:, None]


def pad(flat, counts):
    """Pads flat ``[steps, features]`` with zeros to ``[batch, steps, features]``.

    Example
    -------
    >>> pad(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 1])).squeeze(
    ...     -1
    ... )
    tensor([[1., 2.],
            [3., 0.]])
    """
    mask = real_steps(counts)
    padded = flat.new_zeros(*mask.shape, flat.shape[-1])
    padded[mask] = flat
    return padded


def count_words(words, device=None):
    """Words of each utterance, ``[batch]``, from lists of str.

    Example
    -------
    >>> count_words([["oh", "really"], ["yes"]])
    tensor([2, 1])
    """
    return torch.tensor([len(utterance) for utterance in words], device=device)


def final_states(hidden, counts):
    """Last state of each direction of a bidirectional encoding.

    Arguments
    ---------
    hidden : torch.Tensor
        Padded; the forward direction's features come first, shape
        ``[batch, steps, features]``.
    counts : torch.Tensor
        Steps of each sequence, shape ``[batch]``.

    Returns
    -------
    torch.Tensor
        The forward direction after the last real step beside the backward one
        after the first, shape ``[batch, features]``.

    Example
    -------
    >>> hidden = torch.tensor(
    ...     [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]]]
    ... )
    >>> final_states(hidden, torch.tensor([2, 1]))
    tensor([[3., 2.],
            [5., 6.]])
    """
    size = hidden.shape[-1] // 2
    rows = torch.arange(len(counts), device=hidden.device)
    ahead = hidden[rows, counts - 1, :size]
    return torch.cat([ahead, hidden[:, 0, size:]], dim=-1)


def mean_over_steps(flat, counts):
    """Means of flat sequences over their own steps, ``[sequences, features]``.

    ``flat`` is ``[steps, features]``, and no count in ``counts`` is zero.

    Example
    -------
    >>> mean_over_steps(
    ...     torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([2, 1])
    ... )
    tensor([[1.5000],
            [5.0000]])
    """
    sequences, _ = step_positions(counts)
    # A GPU would sum bfloat16 as such, which has no digits for long words.
    precise = flat.to(torch.promote_types(flat.dtype, torch.float32))
    sums = precise.new_zeros(len(counts), flat.shape[-1])
    sums = sums.index_add(0, sequences, precise)
    return (sums / counts[:, None]).to(flat.dtype)


class RaggedBLSTM(torch.nn.Module):
    """Bidirectional LSTM over flat sequences, exact at both ends.

    The backward direction of a padded LSTM starts in the padding. Here each
    direction is an LSTM of its own and the backward one reads every sequence
    reversed within its own length, so that the result is that of the sequence
    alone. On a GPU the steps are packed, which cuDNN is fast at; on a CPU
    packing is slow, and sequences of similar length are run together instead.

    Arguments
    ---------
    input_size : int
        Features of a step.
    hidden_size : int
        Units of each direction.

    Example
    -------
    >>> blstm = RaggedBLSTM(input_size=3, hidden_size=4)
    >>> blstm(torch.randn(5, 3), torch.tensor([2, 3])).shape
    torch.Size([5, 8])
    """

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.forward_lstm = torch.nn.LSTM(input_size, hidden_size)
        self.backward_lstm = torch.nn.LSTM(input_size, hidden_size)
        self.output_size = 2 * hidden_size

    def forward(self, flat, counts, packed=None):
        """Encodes every sequence.

        Arguments
        ---------
        flat : torch.Tensor
            Shape ``[steps, features]``.
        counts : torch.Tensor
            Steps of each sequence, none zero, shape ``[sequences]``.
        packed : bool or None
            Whether to pack the steps; None decides by the device.

        Returns
        -------
        torch.Tensor
            Shape ``[steps, 2 * hidden_size]``.
        """
        packed = flat.is_cuda if packed is None else packed
        counts = counts.cpu()
        layout = _pack_layout(counts) if packed else _bucket_layout(counts)
        return torch.cat(
            [
                _run(self.forward_lstm, flat, *layout.ahead, layout.shapes),
                _run(self.backward_lstm, flat, *layout.back, layout.shapes),
            ],
            dim=-1,
        )


class _Layout(NamedTuple):
    """How flat steps are laid out for an LSTM, and back.

    ``ahead`` and ``back`` are pairs of indices, one pair a direction: which
    step goes to each place, and the place at which each step's output is found.
    ``shapes`` are the (time, sequences) of each bucket, or the batch sizes of a
    packed sequence.
    """

    ahead: tuple
    back: tuple
    shapes: object


def _pack_layout(counts):
    sequences, positions = step_positions(counts)
    ranks = torch.argsort(torch.argsort(counts, descending=True, stable=True))
    reverse = counts[sequences] - 1 - positions
    size = len(counts)

    def places(time):
        """The order in which steps are run, and its inverse."""
        order = torch.argsort(time * size + ranks[sequences])
        return order, torch.argsort(order)

    batch_sizes = torch.bincount(positions)
    return _Layout(places(positions), places(reverse), batch_sizes)


def _bucket_layout(counts):
    sequences, positions = step_positions(counts)
    order = torch.argsort(counts, descending=True, stable=True)
    shapes = bucket_shapes(counts)

    # The place of (time, rank within its bucket) in the row of all buckets.
    heights = torch.tensor([time for time, _ in shapes])
    widths = torch.tensor([width for _, width in shapes])
    sizes = heights * widths
    offset = (torch.cumsum(sizes, 0) - sizes).repeat_interleave(widths)
    first_rank = (torch.cumsum(widths, 0) - widths).repeat_interleave(widths)
    column = offset + torch.arange(len(counts)) - first_rank
    stride = widths.repeat_interleave(widths)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(counts))
    column, stride = column[rank][sequences], stride[rank][sequences]
    steps = torch.arange(len(sequences))

    def places(time):
        """Which step goes to each place, and the place of each step."""
        place = column + time * stride
        # Padding comes after a sequence's end, where nothing is read: any
        # step will do.
        source = torch.zeros(int(sizes.sum()), dtype=torch.long)
        source[place] = steps
        return source, place

    reverse = counts[sequences] - 1 - positions
    return _Layout(places(positions), places(reverse), shapes)


def bucket_shapes(counts):
    """Time and sequences of each bucket of falling lengths, a list of int.

    They are those that cost least: in a bucket every sequence is as long as the
    longest, and a bucket and each of its steps take a time of their own.

    Example
    -------
    >>> bucket_shapes(torch.tensor([9, 10] * 40 + [3, 2] * 50))
    [(10, 80), (3, 100)]
    """
    lengths, widths = np.unique(counts.numpy(), return_counts=True)
    lengths, ends = lengths[::-1], np.append(0, np.cumsum(widths[::-1]))
    # of the first i lengths the least cost, and the shapes that have it
    least, shapes = np.zeros(len(lengths) + 1), [[]]
    for i in range(1, len(lengths) + 1):
        inside = ends[i] - ends[:i]
        costs = least[:i] + lengths[:i] * (STEP_COST + inside) + BUCKET_COST
        j, least[i] = costs.argmin(), costs.min()
        shapes.append([*shapes[j], (int(lengths[j]), int(inside[j]))])
    return shapes[-1]


def _run(lstm, flat, source, place, shapes):
    # Layouts are small and made on the CPU, whatever computes.
    source, place = source.to(flat.device), place.to(flat.device)
    inputs = flat.index_select(0, source)
    if isinstance(shapes, torch.Tensor):
        packed = torch.nn.utils.rnn.PackedSequence(inputs, shapes)
        outputs = lstm(packed)[0].data
    else:
        buckets = inputs.split([time * width for time, width in shapes])
        outputs = [
            lstm(bucket.view(time, width, -1))[0].flatten(0, 1)
            for bucket, (time, width) in zip(buckets, shapes)
        ]
        outputs = torch.cat(outputs)
    return outputs.index_select(0, place)
