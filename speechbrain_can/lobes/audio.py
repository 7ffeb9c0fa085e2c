"""Audio encoders: the audio of a batch to ``[batch, steps, features]``.

Their ``step_counts`` tells how many steps each utterance has: its words, or its
frames."""

import torch

from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import (
    RaggedBLSTM,
    pad,
    utterance_frame_counts,
)


class FrameBLSTM(torch.nn.Module):
    """A BLSTM over the frames of each word by themselves.

    With the defaults it has 174,080 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    hidden_size : int
        Units of each direction.

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

    def __init__(self, input_size=40, hidden_size=128):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        self.output_size = self.blstm.output_size

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
        hidden = self.blstm(audio.frames, audio.frame_counts)
        return audio._replace(frames=hidden)


class FramesAsStored(torch.nn.Module):
    """No encoder: for features that describe a word well as they are.

    Arguments
    ---------
    input_size : int
        Features of a frame.

    Example
    -------
    >>> encoder = WordEncoder(FramesAsStored(88))
    >>> encoder.output_size
    256
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, audio):
        """Returns what it is given.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            The same frames.
        """
        return audio


class LayerWeights(torch.nn.Module):
    """A learnt weighted mean of the hidden layers of a pretrained model.

    As many parameters as there are layers; it starts as their mean.

    Arguments
    ---------
    layers : int
        Number of layers.
    input_size : int
        Features of a frame: those of all layers, one layer after the other.

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

    def __init__(self, layers, input_size):
        super().__init__()
        if input_size % layers:
            raise ValueError(f"{input_size} features are not {layers} layers")
        self.scores = torch.nn.Parameter(torch.zeros(layers))
        self.output_size = input_size // layers

    def forward(self, audio):
        """Mixes the layers of each frame.

        Arguments
        ---------
        audio : WordFrames
            Frames of all layers.

        Returns
        -------
        WordFrames
            Frames of ``output_size`` features.
        """
        layers = audio.frames.unflatten(1, (len(self.scores), -1))
        mixed = torch.einsum("l,fld->fd", self.scores.softmax(0), layers)
        return audio._replace(frames=mixed)


class WordEncoder(torch.nn.Module):
    """Frames encoded, pooled to words, and a BLSTM over words.

    Dropout follows the pooling and the BLSTM.

    Arguments
    ---------
    frame_encoder : torch.nn.Module
        From ``WordFrames`` to ``WordFrames``, with an ``output_size``, such as
        ``FrameBLSTM``.
    hidden_size : int
        Units of each direction.
    dropout : float
        Probability.
    pooling : type
        From flat steps and their counts to words, such as ``MeanPooling``.

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
        self, frame_encoder, hidden_size=128, dropout=0.3, pooling=MeanPooling
    ):
        super().__init__()
        self.frame_encoder = frame_encoder
        self.pooling = pooling(frame_encoder.output_size)
        self.blstm = RaggedBLSTM(self.pooling.output_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def forward(self, audio):
        """Encodes the audio of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        torch.Tensor
            H^(A), shape ``[batch, words, 2 * hidden_size]``, zero where an
            utterance has no more words.
        """
        encoded = self.frame_encoder(audio)
        words = self.pooling(encoded.frames, encoded.frame_counts)
        hidden = self.blstm(self.dropout(words), audio.word_counts)
        return pad(self.dropout(hidden), audio.word_counts)

    def step_counts(self, audio):
        """Words of each utterance, shape ``[batch]``."""
        return audio.word_counts


class WordFrameBLSTM(WordEncoder):
    """The paper's audio encoder: a BLSTM inside words, another one over words.

    The bottom BLSTM reads the frames of each word by themselves; the mean over
    a word's own frames is its vector. Dropout follows both layers. With the
    defaults it has 569,344 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    hidden_size : int
        Units of each direction, in both layers.
    dropout : float
        Probability.

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

    def __init__(self, input_size=40, hidden_size=128, dropout=0.3):
        super().__init__(
            FrameBLSTM(input_size, hidden_size), hidden_size, dropout
        )


class UtteranceFrameBLSTM(torch.nn.Module):
    """A BLSTM over all frames of an utterance, then dropout.

    The baselines hear an utterance this way, rather than word by word. Their
    YAML files cut it into one segment, so that no frame is heard twice. With
    the defaults it has 174,080 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame.
    hidden_size : int
        Units of each direction.
    dropout : float
        Probability.

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

    def __init__(self, input_size=40, hidden_size=128, dropout=0.3):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def forward(self, audio):
        """Encodes the audio of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames.

        Returns
        -------
        torch.Tensor
            Shape ``[batch, frames, 2 * hidden_size]``, zero where an
            utterance has no more frames.
        """
        counts = self.step_counts(audio)
        return pad(self.dropout(self.blstm(audio.frames, counts)), counts)

    def step_counts(self, audio):
        """Frames of each utterance, shape ``[batch]``."""
        return utterance_frame_counts(audio)
