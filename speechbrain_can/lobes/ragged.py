"""Sequences of different lengths without padding: flat steps and their counts.

A batch of S sequences is one tensor ``[steps, features]``, with all steps of the
first sequence before those of the second, and ``counts`` ``[sequences]``. Counts stay
on the CPU, where a batch is collated: sizes, masks and indices follow from them
without waiting for a GPU.
"""

from contextlib import nullcontext
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch


class Costs(NamedTuple):
    """Costs of an LSTM, relative to the time of one step of one sequence."""

    bucket: int  # overhead of a bucket of sequences
    step: int  # overhead of each of its steps
    candidates: int  # maximum number of lengths at which buckets may begin


CPU = Costs(bucket=300, step=3, candidates=10_000)
# Fitted to an H100, where launches take longer than padding
GPU = Costs(bucket=28_000, step=400, candidates=32)
# Padded steps of a batch on a GPU, which take 3 kB each while training
MOST_PADDED = 2**20


class WordFrames(NamedTuple):
    """Audio of a batch: the frames of each word.

    Arguments
    ---------
    frames : torch.Tensor
        Frames of all words, ``[frames, features]``.
    frame_counts : torch.Tensor
        Frames per word, ``[words of the batch]``, on the CPU.
    word_counts : torch.Tensor
        Words per utterance, ``[batch]``, on the CPU.
    """

    frames: torch.Tensor
    frame_counts: torch.Tensor
    word_counts: torch.Tensor


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a CPU tensor on a device, without waiting for the device."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def step_positions(
    counts: torch.Tensor, device: Optional[torch.device] = None
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Return the sequence and the position of each step, ``[steps]`` each.

    They are on ``device``, by default that of ``counts``.

    Example
    -------
    >>> step_positions(torch.tensor([2, 1]))
    (tensor([0, 0, 1]), tensor([0, 1, 0]))
    """
    total = int(counts.sum())
    counts = send(counts, device or counts.device)
    sequences = torch.arange(
        len(counts), device=counts.device
    ).repeat_interleave(counts, output_size=total)
    first = torch.cumsum(counts, 0) - counts
    positions = torch.arange(total, device=counts.device)
    return sequences, positions - first[sequences]


def utterance_frame_counts(audio: WordFrames) -> torch.Tensor:
    """Return the number of frames of each utterance, ``[batch]``."""
    utterances, _ = step_positions(audio.word_counts)
    return torch.zeros_like(audio.word_counts).index_add(
        0, utterances, audio.frame_counts
    )


def real_steps(
    counts: torch.Tensor, device: Optional[torch.device] = None
) -> torch.Tensor:
    """Return the mask of real steps, ``[batch, steps]``, for counts ``[batch]``.

    It is on ``device``, by default that of ``counts``.

    Example
    -------
    >>> real_steps(torch.tensor([2, 1]))
    tensor([[ True,  True],
            [ True, False]])
    """
    longest = int(counts.max())
    counts = send(counts, device or counts.device)
    return torch.arange(longest, device=counts.device) < counts[:, None]


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
    longest, features = int(counts.max()), flat.shape[-1]
    sequences, positions = step_positions(counts, flat.device)
    padded = flat.new_zeros(len(counts) * longest, features)
    padded = padded.index_copy(0, sequences * longest + positions, flat)
    return padded.view(len(counts), longest, features)


def count_words(words: Sequence[Sequence[str]]) -> torch.Tensor:
    """Return the number of words of each utterance, ``[batch]``.

    Example
    -------
    >>> count_words([["oh", "really"], ["yes"]])
    tensor([2, 1])
    """
    return torch.tensor([len(utterance) for utterance in words])


def final_states(hidden: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the final state of each direction of a bidirectional encoding.

    Arguments
    ---------
    hidden : torch.Tensor
        Padded encoding with the forward direction first,
        ``[batch, steps, features]``.
    counts : torch.Tensor
        Steps per sequence, ``[batch]``, on the same device.

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
    sequences, _ = step_positions(counts, flat.device)
    # Sums over long words exceed the precision of bfloat16.
    precise = flat.to(torch.promote_types(flat.dtype, torch.float32))
    sums = precise.new_zeros(len(counts), flat.shape[-1])
    sums = sums.index_add(0, sequences, precise)
    return (sums / send(counts, flat.device)[:, None]).to(flat.dtype)


class RaggedBLSTM(torch.nn.Module):
    """Bidirectional LSTM over flat sequences, exact at both ends.

    In a padded LSTM, the backward direction starts in the padding. Here, each
    direction is a separate LSTM, and the backward one reads each sequence reversed
    within its own length, so the result does not depend on other sequences.

    Sequences of similar length are padded together: in many buckets on a CPU, where
    padding is slow, and in one or a few on a GPU, where launches are slow.

    On a GPU, cuDNN multiplies in TensorFloat-32 unless
    ``torch.backends.cudnn.allow_tf32`` is False; outputs then differ from those of a
    CPU by about 1e-4 instead of 1e-6. Automatic mixed precision in float16 uses
    float16; cuDNN has no fast kernels for bfloat16, so that the recurrence uses
    float32 there.

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
        costs: Optional[Costs] = None,
    ) -> torch.Tensor:
        """Encode each sequence.

        Arguments
        ---------
        flat : torch.Tensor
            Steps, ``[steps, features]``.
        counts : torch.Tensor
            Steps per sequence, all positive, ``[sequences]``, on the CPU.
        costs : Costs or None
            Costs that determine the buckets; None depends on the device.

        Returns
        -------
        torch.Tensor
            Encoded steps, ``[steps, 2 * hidden_size]``.
        """
        on_cpu = flat.device.type == "cpu"
        shapes = bucket_shapes(counts, costs or (CPU if on_cpu else GPU))
        places = _places(counts, shapes, flat.device)
        lstms = (self.forward_lstm, self.backward_lstm)
        precision = nullcontext()
        if _uses_bfloat16(flat.device.type):
            flat, precision = (
                flat.float(),
                torch.autocast("cuda", enabled=False),
            )
        with precision:
            return torch.cat(
                [
                    _run(lstm, flat, place, shapes)
                    for lstm, place in zip(lstms, places)
                ],
                dim=-1,
            )


def _uses_bfloat16(device_type: str) -> bool:
    """Return whether automatic mixed precision uses bfloat16 on a GPU."""
    if device_type != "cuda" or not torch.is_autocast_enabled("cuda"):
        return False
    return torch.get_autocast_dtype("cuda") == torch.bfloat16


def bucket_shapes(
    counts: torch.Tensor, costs: Costs = CPU
) -> List[Tuple[int, int]]:
    """Return the (time, sequences) of each bucket, by decreasing length.

    The buckets minimize the total time: all sequences of a bucket take as long as the
    longest one, and each bucket and each of its steps has an overhead.

    Example
    -------
    >>> bucket_shapes(torch.tensor([9, 10] * 40 + [3, 2] * 50))
    [(10, 80), (3, 100)]
    """
    lengths, widths = np.unique(counts.cpu().numpy(), return_counts=True)
    # at the end of each length, the number of sequences that are as long
    lengths, ends = lengths[::-1], np.append(0, np.cumsum(widths[::-1]))
    number = min(len(lengths), costs.candidates)
    starts = np.unique(np.linspace(0, len(lengths) - 1, number).astype(int))
    lengths, ends = lengths[starts], np.append(ends[starts], ends[-1])
    # minimal cost of the first i lengths, and the corresponding shapes
    least, shapes = np.zeros(len(lengths) + 1), [[]]
    for i in range(1, len(lengths) + 1):
        inside = ends[i] - ends[:i]
        steps = lengths[:i] * (costs.step + inside)
        j = (least[:i] + steps + costs.bucket).argmin()
        least[i] = least[j] + steps[j] + costs.bucket
        shapes.append([*shapes[j], (int(lengths[j]), int(inside[j]))])
    padded = sum(time * width for time, width in shapes[-1])
    if costs is GPU and padded > max(MOST_PADDED, 2 * int(counts.sum())):
        return bucket_shapes(counts, CPU)
    return shapes[-1]


def _places(
    counts: torch.Tensor, shapes: List[Tuple[int, int]], device: torch.device
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Return the place of each flat step in the buckets, for both directions.

    Buckets are concatenated, time before sequences. The second reverses sequences.
    """
    counts = counts.cpu()
    order = torch.argsort(counts, descending=True, stable=True)
    heights, widths = torch.tensor(shapes).unbind(1)
    sizes = heights * widths
    column, stride = torch.empty_like(order), torch.empty_like(order)
    # the first step of a sequence, and the distance between its steps
    offset = torch.cumsum(sizes, 0) - sizes - torch.cumsum(widths, 0) + widths
    rank = torch.arange(len(counts))
    column[order] = offset.repeat_interleave(widths) + rank
    stride[order] = widths.repeat_interleave(widths)
    sequences, positions = step_positions(counts, device)
    table = send(torch.stack([column, stride, counts]), device)
    column, stride, lengths = table[:, sequences]
    reverse = lengths - 1 - positions
    return column + positions * stride, column + reverse * stride


def _run(lstm, flat, place, shapes):
    """Encode flat steps in padded buckets."""
    size = sum(time * width for time, width in shapes)
    # Padding follows the end of a sequence, so it does not affect it.
    padded = flat.new_zeros(size, flat.shape[-1]).index_copy(0, place, flat)
    buckets = padded.split([time * width for time, width in shapes])
    outputs = [
        lstm(bucket.view(time, width, -1))[0].flatten(0, 1)
        for bucket, (time, width) in zip(buckets, shapes)
    ]
    return _DistinctRows.apply(torch.cat(outputs), place)


class _DistinctRows(torch.autograd.Function):
    """``index_select`` of distinct rows, whose gradients are copied, not added."""

    @staticmethod
    def forward(ctx, rows, place):
        """Return rows ``[places, features]``."""
        ctx.save_for_backward(place)
        ctx.shape = rows.shape
        return rows.index_select(0, place)

    @staticmethod
    def backward(ctx, gradient):
        """Return the gradient of all rows."""
        (place,) = ctx.saved_tensors
        rows = gradient.new_zeros(ctx.shape).index_copy_(0, place, gradient)
        return rows, None
