"""Alignment learnt by attention of words over frames (Xu et al., 2019).

"Learning alignment for multimodal emotion recognition from speech", Interspeech
2019; "Xu et al." of the paper's Table 2. The original has BLSTMs of 100 units
and dense layers of 200; the sizes here are the paper's.

Authors
 * The speechbrain-can developers 2026
"""

import torch

from speechbrain_can.lobes.bimodal import BimodalNetwork
from speechbrain_can.lobes.classifiers import single_output
from speechbrain_can.lobes.ragged import (
    RaggedBLSTM,
    count_words,
    pad,
    real_steps,
)


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
    >>> mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    >>> pairs, weights = align(torch.randn(2, 3, 8), torch.randn(2, 5, 8), mask)
    >>> pairs.shape, weights.shape
    (torch.Size([2, 3, 16]), torch.Size([2, 3, 5]))
    """

    def __init__(self, input_size):
        super().__init__()
        self.frame_score = torch.nn.Linear(input_size, 1, bias=False)
        self.word_score = torch.nn.Linear(input_size, 1)
        self.output_size = 2 * input_size

    def forward(self, text, audio, audio_mask):
        """Aligns.

        Arguments
        ---------
        text, audio : torch.Tensor
            h and s, of shape ``[batch, words, features]`` and
            ``[batch, frames, features]``.
        audio_mask : torch.Tensor
            True at real frames, shape ``[batch, frames]``.

        Returns
        -------
        pairs : torch.Tensor
            [s~; h], shape ``[batch, words, 2 * features]``.
        weights : torch.Tensor
            alpha, shape ``[batch, words, frames]``.
        """
        scores = torch.tanh(
            self.word_score(text) + self.frame_score(audio).transpose(1, 2)
        )
        scores = scores.masked_fill(~audio_mask[:, None], -torch.inf)
        weights = scores.softmax(dim=-1)
        return torch.cat([weights @ audio, text], dim=-1), weights


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
    >>> pairs = torch.randn(2, 3, 512)
    >>> classifier(pairs, torch.tensor([3, 1])).shape
    torch.Size([2, 7])
    """

    def __init__(self, input_size, hidden_size, n_classes=7, dropout=0.3):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        size = self.blstm.output_size
        self.dropout = torch.nn.Dropout(dropout)
        self.dense = torch.nn.Linear(size, size)
        self.linear = torch.nn.Linear(size, n_classes)

    def forward(self, pairs, counts):
        """Classifies a batch.

        Arguments
        ---------
        pairs : torch.Tensor
            Shape ``[batch, words, features]``.
        counts : torch.Tensor
            Words of each utterance, shape ``[batch]``.

        Returns
        -------
        torch.Tensor
            Logits, shape ``[batch, classes]``.
        """
        mask = real_steps(counts)
        hidden = pad(self.dropout(self.blstm(pairs[mask], counts)), counts)
        hidden = hidden.masked_fill(~mask[:, :, None], -torch.inf)
        return self.linear(torch.relu(self.dense(hidden.amax(dim=1))))


class LearnedAlignmentNetwork(BimodalNetwork):
    """Every word gathers its frames; the pairs are classified.

    With the paper's parts, 7 classes and V words in the vocabulary it has
    ``300 V + 1,339,912`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    audio_encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, frames, features]``.
    fusion : LearnedAlignment
        From both encodings to words beside the frames they gathered.
    classifier : WordPairClassifier
        From these to logits.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import UtteranceFrameBLSTM
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = LearnedAlignmentNetwork(
    ...     text_encoder=WordBLSTM(WordEmbedding(300)),
    ...     audio_encoder=UtteranceFrameBLSTM(),
    ...     fusion=LearnedAlignment(256),
    ...     classifier=WordPairClassifier(512, 128),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([6, 3]),
    ...     word_counts=torch.tensor([1, 1]),
    ... )
    >>> model([["oh", "really"], ["yes"]], audio).logits["joint"].shape
    torch.Size([2, 7])
    """

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            The frames.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        text = self.text_encoder(words)
        pairs, _ = self.fusion(
            text,
            self.audio_encoder(audio),
            real_steps(audio.utterance_frame_counts()),
        )
        counts = count_words(words, text.device)
        return single_output(self.classifier(pairs, counts))
