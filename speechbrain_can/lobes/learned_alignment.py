"""Alignment learned by attention of words to frames (Xu et al., 2019).

"Learning alignment for multimodal emotion recognition from speech", Interspeech 2019;
"Xu et al." in Table 2 of the paper. The original uses BLSTMs with 100 units and dense
layers with 200; the sizes here are those of the paper.
"""

from typing import NamedTuple, Tuple

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput, single_output
from speechbrain_can.lobes.ragged import RaggedBLSTM, pad


class WordPairs(NamedTuple):
    """Words concatenated with their attended frames.

    Arguments
    ---------
    pairs : torch.Tensor
        [s~; h], ``[batch, words, 2 * features]``.
    mask : torch.Tensor
        True at real words, ``[batch, words]``.
    """

    pairs: torch.Tensor
    mask: torch.Tensor


class LearnedAlignment(torch.nn.Module):
    """Fusion in which each word attends to the frames of the utterance.

    a_ji = tanh(v . s_i + u . h_j + b), softmax over the frames i of the utterance,
    s~_j = sum_i alpha_ji s_i. With 256 features there are 513 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame and per word.

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

    def __init__(self, input_size: int):
        super().__init__()
        self.frame_score = torch.nn.Linear(input_size, 1, bias=False)
        self.word_score = torch.nn.Linear(input_size, 1)
        self.output_size = 2 * input_size

    def forward(
        self,
        text: torch.Tensor,
        audio: torch.Tensor,
        text_mask: torch.Tensor,
        audio_mask: torch.Tensor,
    ) -> Tuple[WordPairs, None]:
        """Return words with their attended frames, and None: frames are not words.

        Arguments
        ---------
        text, audio : torch.Tensor
            h and s, ``[batch, words, features]`` and ``[batch, frames, features]``.
        text_mask, audio_mask : torch.Tensor
            True at real words ``[batch, words]`` and frames ``[batch, frames]``.

        Returns
        -------
        contexts : WordPairs
            Words with their attended frames.
        attention : None
            There is no attention over words.
        """
        scores = torch.tanh(
            self.word_score(text) + self.frame_score(audio).transpose(1, 2)
        )
        scores = scores.masked_fill(~audio_mask[:, None], -torch.inf)
        weights = scores.softmax(dim=-1)
        pairs = torch.cat([weights @ audio, text], dim=-1)
        return WordPairs(pairs, text_mask), None


class WordPairClassifier(torch.nn.Module):
    """Classifier with a BLSTM over word pairs and max pooling.

    BLSTM over words, dropout, maximum over words, dense layer with ReLU, linear
    layer. With 512 features, 128 units and 7 classes there are 724,999 parameters.

    Arguments
    ---------
    input_size : int
        Features per word pair.
    hidden_size : int
        Units per direction of the BLSTM.
    n_classes : int
        Number of emotions.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> classifier = WordPairClassifier(input_size=512, hidden_size=128)
    >>> mask = torch.tensor([[True, True, True], [True, False, False]])
    >>> output = classifier(WordPairs(torch.randn(2, 3, 512), mask))
    >>> output.logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_classes: int = 7,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.blstm = RaggedBLSTM(input_size, hidden_size)
        size = self.blstm.output_size
        self.dropout = torch.nn.Dropout(dropout)
        self.dense = torch.nn.Linear(size, size)
        self.linear = torch.nn.Linear(size, n_classes)

    def forward(self, contexts: WordPairs) -> EmotionOutput:
        """Return one set of logits."""
        pairs, mask = contexts
        counts = mask.sum(dim=1)
        hidden = pad(self.dropout(self.blstm(pairs[mask], counts)), counts)
        hidden = hidden.masked_fill(~mask[:, :, None], -torch.inf)
        best = hidden.amax(dim=1)
        return single_output(self.linear(torch.relu(self.dense(best))))
