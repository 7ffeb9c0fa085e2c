"""Convolutions over the frames of each word by themselves.

Words lie behind each other with a gap of zeros between them, as wide as a kernel
reaches: what each word gets is exact, and there is no padding to the longest."""

import torch

from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain.nnet.CNN import Conv1d
from speechbrain_can.lobes.audio import FrameBLSTM
from speechbrain_can.lobes.ragged import mean_over_steps, step_positions


class FrameCNN(torch.nn.Module):
    """SpeechBrain's convolutions, each followed by a layer norm and a ReLU.

    With the defaults it has 426,240 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    channels : int
        Features of each layer.
    layers : int
        Number of convolutions.
    kernel_size : int
        Frames that a convolution sees, odd.

    Raises
    ------
    ValueError
        If ``kernel_size`` is even.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> FrameCNN()(audio).frames.shape
    torch.Size([9, 256])
    """

    def __init__(self, input_size=40, channels=256, layers=3, kernel_size=3):
        super().__init__()
        _check_odd(kernel_size)
        self.convolutions = torch.nn.ModuleList(
            Conv1d(
                channels,
                kernel_size,
                in_channels=channels if layer else input_size,
            )
            for layer in range(layers)
        )
        self.norms = torch.nn.ModuleList(
            torch.nn.LayerNorm(channels) for _ in range(layers)
        )
        self.output_size = channels

    def forward(self, audio):
        """Encodes the frames of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            Their encodings.
        """
        words, _ = step_positions(audio.frame_counts)
        frames = audio.frames
        for convolution, norm in zip(self.convolutions, self.norms):
            frames = torch.relu(norm(_convolve(convolution, frames, words)))
        return audio._replace(frames=frames)


class FrameECAPA(torch.nn.Module):
    """The frame layers of SpeechBrain's ECAPA-TDNN.

    Desplanques et al., "ECAPA-TDNN", Interspeech 2020, up to the aggregation of
    its layers; the pooling to words follows in ``WordEncoder``. Squeeze and
    excitation look at one word, and beyond a word are zeros where the original
    mirrors its edges. Batch norms see real frames alone: while it trains a batch
    needs two, and several processes need a GPU each (SpeechBrain synchronises
    them). With the defaults it has 341,872 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    channels : list of int
        Features of each layer; the last one's are those of an encoded frame.
    kernel_sizes : list of int
        Frames that the convolutions of each layer see, odd.
    dilations : list of int
        Frames from one that they see to the next.
    res2net_scale : int
        Parts that the channels of the layers between are cut into.
    se_channels : int
        Channels that squeeze and excitation squeezes to.

    Raises
    ------
    ValueError
        If one of ``kernel_sizes`` is even.

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
        input_size=40,
        channels=(128, 128, 128, 128, 256),
        kernel_sizes=(5, 3, 3, 3, 1),
        dilations=(1, 2, 3, 4, 1),
        res2net_scale=8,
        se_channels=128,
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

    def forward(self, audio):
        """Encodes the frames of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            Their encodings.
        """
        counts = audio.frame_counts
        words, _ = step_positions(counts)
        first, *others = self.blocks
        frames = _time_delay(first, audio.frames, words)
        found = []
        for block in others:
            frames = _squeeze_excite(block, frames, words, counts)
            found.append(frames)
        frames = _time_delay(self.mfa, torch.cat(found, dim=1), words)
        return audio._replace(frames=frames)


def _check_odd(kernel_size):
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size}; choose an odd one")


def _convolve(convolution, frames, words):
    """SpeechBrain's ``Conv1d`` over flat frames, word by word."""
    layer = convolution.conv
    (kernel_size,), (dilation,) = layer.kernel_size, layer.dilation
    gap = dilation * (kernel_size // 2)
    places = torch.arange(len(words), device=words.device) + gap * words
    row = frames.new_zeros(int(places[-1]) + 2 * gap + 1, frames.shape[1])
    row = row.index_copy(0, places + gap, frames)
    return layer(row.T[None])[0].T[places]


def _time_delay(block, frames, words):
    """SpeechBrain's ``TDNNBlock``."""
    return block.norm.norm(
        block.activation(_convolve(block.conv, frames, words))
    )


def _squeeze_excite(block, frames, words, counts):
    """SpeechBrain's ``SERes2NetBlock``."""
    residual = frames
    if block.shortcut:
        residual = _convolve(block.shortcut, frames, words)
    hidden = _time_delay(block.tdnn1, frames, words)
    res2net = block.res2net_block
    first, *others = hidden.chunk(res2net.scale, dim=1)
    scales, before = [first], 0
    for layer, part in zip(res2net.blocks, others):
        before = _time_delay(layer, part + before, words)
        scales.append(before)
    hidden = _time_delay(block.tdnn2, torch.cat(scales, dim=1), words)
    gate = block.se_block
    means = mean_over_steps(hidden, counts).T[None]
    gates = gate.sigmoid(gate.conv2(gate.relu(gate.conv1(means))))[0].T
    return gates[words] * hidden + residual


def stack_frames(flat, counts, size):
    """Frames of each sequence put together ``size`` at a time.

    Arguments
    ---------
    flat : torch.Tensor
        Shape ``[frames, features]``.
    counts : torch.Tensor
        Frames of each sequence, shape ``[sequences]``.
    size : int
        How many become one.

    Returns
    -------
    stacked : torch.Tensor
        Shape ``[steps, size * features]``; the last step of a sequence is
        filled with zeros.
    step_counts : torch.Tensor
        Steps of each sequence, shape ``[sequences]``.

    Example
    -------
    >>> flat = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> stack_frames(flat, torch.tensor([3, 1]), size=2)
    (tensor([[1., 2.],
            [3., 0.],
            [4., 0.]]), tensor([2, 1]))
    """
    step_counts = (counts + size - 1) // size
    sequences, positions = step_positions(counts)
    first = torch.cumsum(step_counts, 0) - step_counts
    places = first[sequences] * size + positions
    stacked = flat.new_zeros(int(step_counts.sum()) * size, flat.shape[-1])
    stacked = stacked.index_copy(0, places, flat)
    return stacked.view(-1, size * flat.shape[-1]), step_counts


class SubsampledFrameBLSTM(FrameBLSTM):
    """A ``FrameBLSTM`` behind a convolution that shortens what it reads.

    Frame stacking (Sak et al., "Fast and accurate recurrent neural network
    acoustic models for speech recognition", Interspeech 2015) with a projection,
    as convolutional subsampling has it: kernel and stride are the same, every
    frame is read once, and no step reads frames of two words. With the defaults
    it has 214,080 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    hidden_size : int
        Units of each direction.
    subsampling : int
        Frames of a step; a word's last step is filled with zeros, which is the
        mean of normalised features.
    channels : int
        Features of a step.

    Raises
    ------
    ValueError
        If ``subsampling`` is not 1 or more.

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
        self, input_size=40, hidden_size=128, subsampling=6, channels=64
    ):
        if subsampling < 1:
            raise ValueError(f"subsampling is {subsampling}; give 1 or more")
        super().__init__(channels, hidden_size)
        self.subsampling = subsampling
        self.convolution = torch.nn.Sequential(
            torch.nn.Linear(subsampling * input_size, channels),
            torch.nn.ReLU(),
        )

    def forward(self, audio):
        """Encodes the frames of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            Encodings of the steps, and the steps of every word.
        """
        stacked, counts = stack_frames(
            audio.frames, audio.frame_counts, self.subsampling
        )
        frames = self.convolution(stacked)
        return super().forward(
            audio._replace(frames=frames, frame_counts=counts)
        )
