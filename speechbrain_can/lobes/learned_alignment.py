"""Alignment learnt by attention of words over frames (Xu et al., 2019).

"Learning alignment for multimodal emotion recognition from speech", Interspeech
2019; "Xu et al." of the paper's Table 2. The original has BLSTMs of 100 units
and dense layers of 200; the sizes here are the paper's."""

from typing import NamedTuple

import torch

from speechbrain_can.lobes.classifiers import single_output
from speechbrain_can.lobes.ragged import RaggedBLSTM, pad


class WordPairs(NamedTuple):
    """Words, each beside the frames that it gathered.

    Arguments
    ---------
    pairs : torch.Tensor
        [s~; h], shape ``[batch, words, 2 * features]``.
    mask : torch.Tensor
        True at real words, shape ``[batch, words]``.
    """

    pairs: torch.Tensor
    mask: torch.Tensor


class LearnedAlignment(torch.nn.Module):
    """Every word gathers the frames that fit it, and stands beside them.

    a_ji = tanh(v . s_i + u . h_j + b), softmax over the frames i of the
    utterance, s~_j = sum_i alpha_ji s_i. With 256 features it has 513
    parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame and of a word.

    Example
    -------
    >>> align = LearnedAlignment(input_size=8)
    >>> contexts, _ = align(
    ...     torch.randn(2, 3, 8),
    ...     torch.randn(2, 5, 8),
    ...     text_mask=torch.tensor([[True] * 3, [True] + [False] * 2]),
    ...     audio_mask=torch.tensor([[True] * 5, [True] * 4 + [False]]),
    ... )
    >>> contexts.pairs.shape
    torch.Size([2, 3, 16])
    """

    def __init__(self, input_size):
        super().__init__()
        self.frame_score = torch.nn.Linear(input_size, 1, bias=False)
        self.word_score = torch.nn.Linear(input_size, 1)
        self.output_size = 2 * input_size

    def forward(self, text, audio, text_mask, audio_mask):
        """Aligns.

        Arguments
        ---------
        text, audio : torch.Tensor
            h and s, of shape ``[batch, words, features]`` and
            ``[batch, frames, features]``.
        text_mask, audio_mask : torch.Tensor
            True at real words ``[batch, words]`` and frames ``[batch,
            frames]``.

        Returns
        -------
        contexts : WordPairs
            Words beside the frames that they gathered.
        attention : None
            It is on frames, not on words.
        """
        scores = torch.tanh(
            self.word_score(text) + self.frame_score(audio).transpose(1, 2)
        )
        scores = scores.masked_fill(~audio_mask[:, None], -torch.inf)
        weights = scores.softmax(dim=-1)
        pairs = torch.cat([weights @ audio, text], dim=-1)
        return WordPairs(pairs, text_mask), None


class WordPairClassifier(torch.nn.Module):
    """Words beside the frames they gathered, by a BLSTM and a maximum.

    BLSTM over words, dropout, maximum over words, a dense layer with ReLU as
    wide as the BLSTM, a linear layer. With 512 features, 128 units and 7
    classes it has 724,999 parameters.

    Arguments
    ---------
    input_size : int
        Features of a word and of the frames beside it, together.
    hidden_size : int
        Units of each direction of the BLSTM.
    n_classes : int
        Number of emotions.
    dropout : float
        Probability.

    Example
    -------
    >>> classifier = WordPairClassifier(input_size=512, hidden_size=128)
    >>> mask = torch.tensor([[True, True, True], [True, False, False]])
    >>> output = classifier(WordPairs(torch.randn(2, 3, 512), mask))
    >>> output.logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(self, input_size, hidden_size, n_classes=7, dropout=0.3):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        size = self.blstm.output_size
        self.dropout = torch.nn.Dropout(dropout)
        self.dense = torch.nn.Linear(size, size)
        self.linear = torch.nn.Linear(size, n_classes)

    def forward(self, contexts):
        """Classifies a batch.

        Arguments
        ---------
        contexts : WordPairs
            Words beside the frames that they gathered.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        pairs, mask = contexts
        counts = mask.sum(dim=1)
        hidden = pad(self.dropout(self.blstm(pairs[mask], counts)), counts)
        hidden = hidden.masked_fill(~mask[:, :, None], -torch.inf)
        best = hidden.amax(dim=1)
        return single_output(self.linear(torch.relu(self.dense(best))))
