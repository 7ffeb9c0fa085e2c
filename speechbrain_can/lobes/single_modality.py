"""Text alone and audio alone, by global attention (Mirsamadi et al., 2017).

"Automatic speech emotion recognition using recurrent neural networks with
local attention", ICASSP 2017; TextModel and AudioModel of the paper's Table 2.
A BLSTM, then alpha_t = softmax_t(u . h_t), z = sum alpha_t h_t, then a linear
classifier. The original hears 32 low-level descriptors with two dense layers of
512 units under a BLSTM of 128; the sizes here are the paper's.

Authors
 * The speechbrain-can developers 2026
"""

import torch

from speechbrain_can.lobes.attention import Attention, attend
from speechbrain_can.lobes.classifiers import single_output
from speechbrain_can.lobes.ragged import count_words, real_steps


class _SingleModality(torch.nn.Module):
    def __init__(self, encoder, attention, classifier):
        super().__init__()
        self.encoder = encoder
        self.attention = attention
        self.classifier = classifier

    def _classify(self, hidden, mask):
        weights = self.attention(hidden, mask)
        return self.classifier(attend(weights, hidden)), weights


class TextModel(_SingleModality):
    """Emotion from words alone.

    With the paper's parts, 7 classes and V words in the vocabulary it has
    ``300 V + 442,375`` parameters.

    Arguments
    ---------
    encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    attention : torch.nn.Module
        From an encoding and a mask to weights, ``GlobalAttention``.
    classifier : torch.nn.Module
        From ``[batch, features]`` to logits.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import GlobalAttention
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = TextModel(
    ...     encoder=WordBLSTM(WordEmbedding(300)),
    ...     attention=GlobalAttention(256, heads=1),
    ...     classifier=torch.nn.Linear(256, 7),
    ... )
    >>> model([["oh", "really"], ["yes"]]).logits["joint"].shape
    torch.Size([2, 7])
    """

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        self.encoder.fit_vocabulary(train_words, other_words)

    def forward(self, words, audio=None):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            Not heard.

        Returns
        -------
        EmotionOutput
            One set of logits, and the attention.
        """
        hidden = self.encoder(words)
        mask = real_steps(count_words(words, hidden.device))
        logits, weights = self._classify(hidden, mask)
        return single_output(logits, Attention(text=weights))


class AudioModel(_SingleModality):
    """Emotion from audio alone, over the frames of the utterance.

    With the paper's parts and 7 classes it has 176,135 parameters.

    Arguments
    ---------
    encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, frames, features]``.
    attention : torch.nn.Module
        From an encoding and a mask to weights, ``GlobalAttention``.
    classifier : torch.nn.Module
        From ``[batch, features]`` to logits.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import GlobalAttention
    >>> from speechbrain_can.lobes.audio import UtteranceFrameBLSTM
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> model = AudioModel(
    ...     encoder=UtteranceFrameBLSTM(),
    ...     attention=GlobalAttention(256, heads=1),
    ...     classifier=torch.nn.Linear(256, 7),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([6, 3]),
    ...     word_counts=torch.tensor([1, 1]),
    ... )
    >>> model([["oh", "really"], ["yes"]], audio).logits["joint"].shape
    torch.Size([2, 7])
    """

    def fit_vocabulary(self, train_words, other_words=()):
        """It reads no words."""

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            Not read.
        audio : WordFrames
            The frames.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        hidden = self.encoder(audio)
        mask = real_steps(audio.utterance_frame_counts())
        logits, _ = self._classify(hidden, mask)
        return single_output(logits)
