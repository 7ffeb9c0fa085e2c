"""Audio encoders: map the audio of a batch to ``[batch, steps, features]``.

Their method ``step_counts`` returns the number of steps of each utterance, which are
words or frames.
"""

from typing import Callable

import torch

from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import (
    RaggedBLSTM,
    WordFrames,
    pad,
    utterance_frame_counts,
)


class FrameBLSTM(torch.nn.Module):
    """BLSTM over the frames of each word separately.

    With the defaults there are 174,080 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame.
    hidden_size : int
        Units per direction.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> FrameBLSTM()(audio).frames.shape
    torch.Size([9, 256])
    """

    def __init__(self, input_size: int = 40, hidden_size: int = 128):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        self.output_size = self.blstm.output_size

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode the frames of each word."""
        hidden = self.blstm(audio.frames, audio.frame_counts)
        return audio._replace(frames=hidden)


class FramesAsStored(torch.nn.Module):
    """Identity frame encoder, for features that already describe words.

    Arguments
    ---------
    input_size : int
        Features per frame.

    Example
    -------
    >>> encoder = WordEncoder(FramesAsStored(88))
    >>> encoder.output_size
    256
    """

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = input_size

    def forward(self, audio: WordFrames) -> WordFrames:
        """Return the frames unchanged."""
        return audio


class LayerWeights(torch.nn.Module):
    """Learned weighted mean of the hidden layers of a pretrained model.

    There is one parameter per layer; initial weights are equal.

    Arguments
    ---------
    layers : int
        Number of layers.
    input_size : int
        Features per frame: all layers, concatenated.

    Raises
    ------
    ValueError
        If ``input_size`` is not a multiple of ``layers``.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> audio = WordFrames(
    ...     frames=torch.tensor([[1.0, 2.0, 3.0, 6.0]]),
    ...     frame_counts=torch.tensor([1]),
    ...     word_counts=torch.tensor([1]),
    ... )
    >>> LayerWeights(layers=2, input_size=4)(audio).frames.tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, layers: int, input_size: int):
        super().__init__()
        if input_size % layers:
            raise ValueError(
                f"{input_size} features cannot be divided into {layers} layers"
            )
        self.scores = torch.nn.Parameter(torch.zeros(layers))
        self.output_size = input_size // layers

    def forward(self, audio: WordFrames) -> WordFrames:
        """Mix the layers of each frame."""
        layers = audio.frames.unflatten(1, (len(self.scores), -1))
        mixed = torch.einsum("l,fld->fd", self.scores.softmax(0), layers)
        return audio._replace(frames=mixed)


class WordEncoder(torch.nn.Module):
    """Frame encoder, pooling to words, and BLSTM over words.

    Dropout follows the pooling and the BLSTM.

    Arguments
    ---------
    frame_encoder : torch.nn.Module
        Maps ``WordFrames`` to ``WordFrames`` and has an ``output_size``, such as
        ``FrameBLSTM``.
    hidden_size : int
        Units per direction.
    dropout : float
        Dropout probability.
    pooling : callable
        Maps flat steps and their counts to words, such as ``MeanPooling``.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> encoder = WordEncoder(FrameBLSTM(input_size=40), hidden_size=128)
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> encoder(audio).shape
    torch.Size([2, 2, 256])
    """

    def __init__(
        self,
        frame_encoder: torch.nn.Module,
        hidden_size: int = 128,
        dropout: float = 0.3,
        pooling: Callable[[int], torch.nn.Module] = MeanPooling,
    ):
        super().__init__()
        self.frame_encoder = frame_encoder
        self.pooling = pooling(frame_encoder.output_size)
        self.blstm = RaggedBLSTM(self.pooling.output_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def forward(self, audio: WordFrames) -> torch.Tensor:
        """Return H^(A), ``[batch, words, 2 * hidden_size]``, with zeros as padding."""
        encoded = self.frame_encoder(audio)
        words = self.pooling(encoded.frames, encoded.frame_counts)
        hidden = self.blstm(self.dropout(words), audio.word_counts)
        return pad(self.dropout(hidden), audio.word_counts)

    def step_counts(self, audio: WordFrames) -> torch.Tensor:
        """Return the number of words of each utterance, ``[batch]``."""
        return audio.word_counts


class WordFrameBLSTM(WordEncoder):
    """Audio encoder of the paper: a BLSTM within words and a BLSTM over words.

    The bottom BLSTM encodes the frames of each word separately; the vector of a
    word is the mean over its frames. Dropout follows both layers. With the defaults
    there are 569,344 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame.
    hidden_size : int
        Units per direction, in both layers.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> encoder = WordFrameBLSTM(input_size=40, hidden_size=128)
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> encoder(audio).shape
    torch.Size([2, 2, 256])
    """

    def __init__(
        self, input_size: int = 40, hidden_size: int = 128, dropout: float = 0.3
    ):
        super().__init__(
            FrameBLSTM(input_size, hidden_size), hidden_size, dropout
        )


class UtteranceFrameBLSTM(torch.nn.Module):
    """BLSTM over all frames of an utterance, followed by dropout.

    Used by the baselines, whose YAML files use one segment per utterance. With the
    defaults there are 174,080 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame.
    hidden_size : int
        Units per direction.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> encoder = UtteranceFrameBLSTM(input_size=40, hidden_size=128)
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([6, 3]),
    ...     word_counts=torch.tensor([1, 1]),
    ... )
    >>> encoder(audio).shape
    torch.Size([2, 6, 256])
    """

    def __init__(
        self, input_size: int = 40, hidden_size: int = 128, dropout: float = 0.3
    ):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def forward(self, audio: WordFrames) -> torch.Tensor:
        """Return ``[batch, frames, 2 * hidden_size]``, with zeros as padding."""
        counts = self.step_counts(audio)
        return pad(self.dropout(self.blstm(audio.frames, counts)), counts)

    def step_counts(self, audio: WordFrames) -> torch.Tensor:
        """Return the number of frames of each utterance, ``[batch]``."""
        return utterance_frame_counts(audio)
