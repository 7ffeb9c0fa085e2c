"""Sequences of different lengths without padding: flat steps and their counts.

A batch of S sequences is one tensor ``[steps, features]``, with all steps of the
first sequence before those of the second, and ``counts`` ``[sequences]``.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

# Overhead of a bucket and of each of its steps, relative to the time of one step of
# one sequence (LSTM on a CPU)
BUCKET_COST, STEP_COST = 300, 3


class WordFrames(NamedTuple):
    """Audio of a batch: the frames of each word.

    Arguments
    ---------
    frames : torch.Tensor
        Frames of all words, ``[frames, features]``.
    frame_counts : torch.Tensor
        Frames per word, ``[words of the batch]``.
    word_counts : torch.Tensor
        Words per utterance, ``[batch]``.
    """

    frames: torch.Tensor
    frame_counts: torch.Tensor
    word_counts: torch.Tensor


def step_positions(counts: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Return the sequence and the position of each step, ``[steps]`` each.

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


def utterance_frame_counts(audio: WordFrames) -> torch.Tensor:
    """Return the number of frames of each utterance, ``[batch]``."""
    utterances, _ = step_positions(audio.word_counts)
    return torch.zeros_like(audio.word_counts).index_add(
        0, utterances, audio.frame_counts
    )


def real_steps(counts: torch.Tensor) -> torch.Tensor:
    """Return the mask of real steps, ``[batch, steps]``, for counts ``[batch]``.

    Example
    -------
    >>> real_steps(torch.tensor([2, 1]))
    tensor([[ True,  True],
            [ True, False]])
    """
    steps = torch.arange(int(counts.max()), device=counts.device)
    return steps < counts[:, None]


def pad(flat: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Pad flat ``[steps, features]`` with zeros to ``[batch, steps, features]``.

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


def count_words(
    words: Sequence[Sequence[str]], device: Optional[torch.device] = None
) -> torch.Tensor:
    """Return the number of words of each utterance, ``[batch]``.

    Example
    -------
    >>> count_words([["oh", "really"], ["yes"]])
    tensor([2, 1])
    """
    return torch.tensor([len(utterance) for utterance in words], device=device)


def final_states(hidden: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the final state of each direction of a bidirectional encoding.

    Arguments
    ---------
    hidden : torch.Tensor
        Padded encoding with the forward direction first,
        ``[batch, steps, features]``.
    counts : torch.Tensor
        Steps per sequence, ``[batch]``.

    Returns
    -------
    torch.Tensor
        The forward direction at the last real step and the backward direction
        at the first step, ``[batch, features]``.

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


def mean_over_steps(flat: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the mean of each flat sequence, ``[sequences, features]``.

    ``flat`` is ``[steps, features]``; all counts are positive.

    Example
    -------
    >>> mean_over_steps(
    ...     torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([2, 1])
    ... )
    tensor([[1.5000],
            [5.0000]])
    """
    sequences, _ = step_positions(counts)
    # Sums over long words exceed the precision of bfloat16.
    precise = flat.to(torch.promote_types(flat.dtype, torch.float32))
    sums = precise.new_zeros(len(counts), flat.shape[-1])
    sums = sums.index_add(0, sequences, precise)
    return (sums / counts[:, None]).to(flat.dtype)


class RaggedBLSTM(torch.nn.Module):
    """Bidirectional LSTM over flat sequences, exact at both ends.

    In a padded LSTM, the backward direction starts in the padding. Here, each
    direction is a separate LSTM, and the backward one reads each sequence reversed
    within its own length, so the result does not depend on other sequences. A GPU
    uses packed sequences; a CPU, where packing is slow, batches sequences of similar
    length.

    Arguments
    ---------
    input_size : int
        Features per step.
    hidden_size : int
        Units per direction.

    Example
    -------
    >>> blstm = RaggedBLSTM(input_size=3, hidden_size=4)
    >>> blstm(torch.randn(5, 3), torch.tensor([2, 3])).shape
    torch.Size([5, 8])
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.forward_lstm = torch.nn.LSTM(input_size, hidden_size)
        self.backward_lstm = torch.nn.LSTM(input_size, hidden_size)
        self.output_size = 2 * hidden_size

    def forward(
        self,
        flat: torch.Tensor,
        counts: torch.Tensor,
        packed: Optional[bool] = None,
    ) -> torch.Tensor:
        """Encode each sequence.

        Arguments
        ---------
        flat : torch.Tensor
            Steps, ``[steps, features]``.
        counts : torch.Tensor
            Steps per sequence, all positive, ``[sequences]``.
        packed : bool or None
            Whether to use packed sequences; None depends on the device.

        Returns
        -------
        torch.Tensor
            Encoded steps, ``[steps, 2 * hidden_size]``.
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
    """Layout of flat steps for an LSTM.

    ``ahead`` and ``back`` are pairs of indices for the two directions: the step at
    each position of the input, and the position of each step in the output.
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
        """Return the order of steps and its inverse."""
        order = torch.argsort(time * size + ranks[sequences])
        return order, torch.argsort(order)

    batch_sizes = torch.bincount(positions)
    return _Layout(places(positions), places(reverse), batch_sizes)


def _bucket_layout(counts):
    sequences, positions = step_positions(counts)
    order = torch.argsort(counts, descending=True, stable=True)
    shapes = bucket_shapes(counts)

    # Position of (time, rank within the bucket) in the concatenated buckets
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
        """Return the step at each position and the position of each step."""
        place = column + time * stride
        # Padding follows the end of a sequence and is ignored, so it may
        # contain any step.
        source = torch.zeros(int(sizes.sum()), dtype=torch.long)
        source[place] = steps
        return source, place

    reverse = counts[sequences] - 1 - positions
    return _Layout(places(positions), places(reverse), shapes)


def bucket_shapes(counts: torch.Tensor) -> List[Tuple[int, int]]:
    """Return the (time, sequences) of each bucket, by decreasing length.

    The buckets minimize the total time: all sequences of a bucket take as long as the
    longest one, and each bucket and each of its steps has an overhead.

    Example
    -------
    >>> bucket_shapes(torch.tensor([9, 10] * 40 + [3, 2] * 50))
    [(10, 80), (3, 100)]
    """
    lengths, widths = np.unique(counts.numpy(), return_counts=True)
    lengths, ends = lengths[::-1], np.append(0, np.cumsum(widths[::-1]))
    # minimal cost of the first i lengths, and the corresponding shapes
    least, shapes = np.zeros(len(lengths) + 1), [[]]
    for i in range(1, len(lengths) + 1):
        inside = ends[i] - ends[:i]
        costs = least[:i] + lengths[:i] * (STEP_COST + inside) + BUCKET_COST
        j, least[i] = costs.argmin(), costs.min()
        shapes.append([*shapes[j], (int(lengths[j]), int(inside[j]))])
    return shapes[-1]


def _run(lstm, flat, source, place, shapes):
    # Layouts are small and computed on the CPU.
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
