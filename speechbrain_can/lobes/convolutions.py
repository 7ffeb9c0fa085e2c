"""Convolutions over the frames of each word separately.

Words are placed in one row with gaps of zeros as wide as the reach of a kernel. The
result is exact and needs no padding to the longest word.
"""

from typing import Sequence, Tuple

import torch

from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain_can.lobes.audio import FrameBLSTM
from speechbrain_can.lobes.ragged import (
    WordFrames,
    mean_over_steps,
    send,
    step_positions,
)


class FrameECAPA(torch.nn.Module):
    """Frame layers of SpeechBrain's ECAPA-TDNN.

    Desplanques et al., "ECAPA-TDNN", Interspeech 2020, up to the aggregation of
    layers; ``WordEncoder`` pools the output to words. Squeeze-and-excitation uses the
    frames of one word, and convolutions pad words with zeros where the original
    mirrors the edges. Batch norm uses only real frames: a training batch needs at
    least two, and SpeechBrain synchronizes it between processes only on GPUs. With
    the defaults there are 341,872 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame.
    channels : list of int
        Channels of each layer; the last one is the output size.
    kernel_sizes : list of int
        Kernel size of each layer, odd.
    dilations : list of int
        Dilation of each layer.
    res2net_scale : int
        Number of parts that the Res2Net blocks split channels into.
    se_channels : int
        Bottleneck of squeeze-and-excitation.

    Raises
    ------
    ValueError
        If a kernel size is even.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> FrameECAPA()(audio).frames.shape
    torch.Size([9, 256])
    """

    def __init__(
        self,
        input_size: int = 40,
        channels: Sequence[int] = (128, 128, 128, 128, 256),
        kernel_sizes: Sequence[int] = (5, 3, 3, 3, 1),
        dilations: Sequence[int] = (1, 2, 3, 4, 1),
        res2net_scale: int = 8,
        se_channels: int = 128,
    ):
        super().__init__()
        for kernel_size in kernel_sizes:
            _check_odd(kernel_size)
        ecapa = ECAPA_TDNN(
            input_size,
            channels=list(channels),
            kernel_sizes=list(kernel_sizes),
            dilations=list(dilations),
            res2net_scale=res2net_scale,
            se_channels=se_channels,
        )
        self.blocks, self.mfa = ecapa.blocks, ecapa.mfa
        self.output_size = channels[-1]

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode the frames of each word."""
        counts = audio.frame_counts
        words, _ = step_positions(counts, audio.frames.device)
        gaps = len(counts) - 1
        first, *others = self.blocks
        frames = _time_delay(first, audio.frames, words, gaps)
        found = []
        for block in others:
            frames = _squeeze_excite(block, frames, words, counts, gaps)
            found.append(frames)
        frames = _time_delay(self.mfa, torch.cat(found, dim=1), words, gaps)
        return audio._replace(frames=frames)


def _check_odd(kernel_size):
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, but is {kernel_size}")


def _convolve(convolution, frames, words, gaps):
    """Apply SpeechBrain's ``Conv1d`` to flat frames, word by word.

    ``words`` is the word of each frame; there are ``gaps`` between words.
    """
    layer = convolution.conv
    (kernel_size,), (dilation,) = layer.kernel_size, layer.dilation
    gap = dilation * (kernel_size // 2)
    places = torch.arange(len(words), device=words.device) + gap * words
    row = frames.new_zeros(len(words) + gap * (gaps + 2), frames.shape[1])
    row = row.index_copy(0, places + gap, frames)
    return layer(row.T[None])[0].T[places]


def _time_delay(block, frames, words, gaps):
    """Apply SpeechBrain's ``TDNNBlock`` to flat frames."""
    return block.norm.norm(
        block.activation(_convolve(block.conv, frames, words, gaps))
    )


def _squeeze_excite(block, frames, words, counts, gaps):
    """Apply SpeechBrain's ``SERes2NetBlock`` to flat frames."""
    residual = frames
    if block.shortcut:
        residual = _convolve(block.shortcut, frames, words, gaps)
    hidden = _time_delay(block.tdnn1, frames, words, gaps)
    res2net = block.res2net_block
    first, *others = hidden.chunk(res2net.scale, dim=1)
    scales, before = [first], 0
    for layer, part in zip(res2net.blocks, others):
        before = _time_delay(layer, part + before, words, gaps)
        scales.append(before)
    hidden = _time_delay(block.tdnn2, torch.cat(scales, dim=1), words, gaps)
    gate = block.se_block
    means = mean_over_steps(hidden, counts).T[None]
    gates = gate.sigmoid(gate.conv2(gate.relu(gate.conv1(means))))[0].T
    return gates[words] * hidden + residual


def stack_frames(
    flat: torch.Tensor, counts: torch.Tensor, size: int
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Concatenate ``size`` consecutive frames of each sequence.

    Arguments
    ---------
    flat : torch.Tensor
        Frames, ``[frames, features]``.
    counts : torch.Tensor
        Frames per sequence, ``[sequences]``.
    size : int
        Number of frames per step.

    Returns
    -------
    stacked : torch.Tensor
        Steps, ``[steps, size * features]``; the last step of a sequence is
        padded with zeros.
    step_counts : torch.Tensor
        Steps per sequence, ``[sequences]``.

    Example
    -------
    >>> flat = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> stack_frames(flat, torch.tensor([3, 1]), size=2)
    (tensor([[1., 2.],
            [3., 0.],
            [4., 0.]]), tensor([2, 1]))
    """
    step_counts = (counts + size - 1) // size
    sequences, positions = step_positions(counts, flat.device)
    first = torch.cumsum(send(step_counts, flat.device), 0)
    first = first - send(step_counts, flat.device)
    places = first[sequences] * size + positions
    stacked = flat.new_zeros(int(step_counts.sum()) * size, flat.shape[-1])
    stacked = stacked.index_copy(0, places, flat)
    return stacked.view(-1, size * flat.shape[-1]), step_counts


class SubsampledFrameBLSTM(FrameBLSTM):
    """``FrameBLSTM`` after subsampling by a strided convolution.

    Frame stacking (Sak et al., "Fast and accurate recurrent neural network acoustic
    models for speech recognition", Interspeech 2015) with a projection: kernel size
    and stride are equal, so each frame is used once, and no step contains frames of
    two words. With the defaults there are 214,080 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame.
    hidden_size : int
        Units per direction.
    subsampling : int
        Frames per step. The last step of a word is padded with zeros, the mean
        of normalized features.
    channels : int
        Features per step.

    Raises
    ------
    ValueError
        If ``subsampling`` is less than 1.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> SubsampledFrameBLSTM(subsampling=3)(audio).frame_counts
    tensor([2, 1, 1])
    """

    def __init__(
        self,
        input_size: int = 40,
        hidden_size: int = 128,
        subsampling: int = 6,
        channels: int = 64,
    ):
        if subsampling < 1:
            raise ValueError(
                f"subsampling must be at least 1, but is {subsampling}"
            )
        super().__init__(channels, hidden_size)
        self.subsampling = subsampling
        self.convolution = torch.nn.Sequential(
            torch.nn.Linear(subsampling * input_size, channels),
            torch.nn.ReLU(),
        )

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode the steps of each word."""
        stacked, counts = stack_frames(
            audio.frames, audio.frame_counts, self.subsampling
        )
        frames = self.convolution(stacked)
        return super().forward(
            audio._replace(frames=frames, frame_counts=counts)
        )
