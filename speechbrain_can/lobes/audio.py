"""Audio encoders: the audio of a batch to ``[batch, words, features]``.

Authors
 * The speechbrain-can developers 2026
"""

import torch

from speechbrain_can.lobes.ragged import RaggedBLSTM, mean_over_steps, pad


class WordFrameBLSTM(torch.nn.Module):
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
        super().__init__()
        self.bottom = RaggedBLSTM(input_size, hidden_size)
        self.upper = RaggedBLSTM(self.bottom.output_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.upper.output_size

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
        hidden = self.bottom(audio.frames, audio.frame_counts)
        words = self.dropout(mean_over_steps(hidden, audio.frame_counts))
        hidden = self.dropout(self.upper(words, audio.word_counts))
        return pad(hidden, audio.word_counts)


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
        counts = audio.utterance_frame_counts()
        return pad(self.dropout(self.blstm(audio.frames, counts)), counts)
