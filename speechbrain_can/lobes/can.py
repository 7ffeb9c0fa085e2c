"""The Cross Attention Network, from its four parts.

Authors
 * The speechbrain-can developers 2026
"""

from dataclasses import dataclass
from typing import Dict, Optional

import torch

from speechbrain_can.lobes.attention import Attention
from speechbrain_can.lobes.ragged import real_steps


@dataclass
class EmotionOutput:
    """What a model says of a batch.

    Arguments
    ---------
    logits : dict of str: torch.Tensor
        The predictions by name, each of shape ``[batch, classes]``.
    weights : dict of str: float
        The weight of each prediction in the loss (eq. 14) and in the decision
        (eq. 15).
    attention : Attention or None
        Where the model looked, if it has such a thing.
    """

    logits: Dict[str, torch.Tensor]
    weights: Dict[str, float]
    attention: Optional[Attention] = None


class CrossClassifier(torch.nn.Module):
    """Three linear classifiers over the contexts (eqs 10-12).

    ``joint`` sees all four contexts, ``text`` c^(TT) alone and ``audio``
    c^(AA) alone. With 256 features and 7 classes they have 10,773 parameters.

    Arguments
    ---------
    input_size : int
        Features of a context.
    n_classes : int
        Number of emotions.
    align_weight : float
        alpha of eqs 14 and 15: the weight of ``text`` and ``audio`` beside
        ``joint``. At 0 ``joint`` learns and decides alone.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import Contexts
    >>> classifier = CrossClassifier(input_size=256, n_classes=7)
    >>> output = classifier(Contexts(*torch.randn(4, 2, 256)))
    >>> {name: tuple(logits.shape) for name, logits in output.logits.items()}
    {'joint': (2, 7), 'text': (2, 7), 'audio': (2, 7)}
    >>> output.weights
    {'joint': 1.0, 'text': 0.1, 'audio': 0.1}
    """

    def __init__(self, input_size, n_classes, align_weight=0.1):
        super().__init__()
        self.joint = torch.nn.Linear(4 * input_size, n_classes)
        self.text = torch.nn.Linear(input_size, n_classes)
        self.audio = torch.nn.Linear(input_size, n_classes)
        self.weights = {
            "joint": 1.0,
            "text": float(align_weight),
            "audio": float(align_weight),
        }

    def forward(self, contexts):
        """Classifies a batch.

        Arguments
        ---------
        contexts : Contexts
            The four context vectors.

        Returns
        -------
        EmotionOutput
            Three sets of logits with their weights.
        """
        logits = {
            "joint": self.joint(torch.cat(contexts, dim=-1)),
            "text": self.text(contexts.tt),
            "audio": self.audio(contexts.aa),
        }
        return EmotionOutput(logits, self.weights)


class CrossAttentionNetwork(torch.nn.Module):
    """CAN (Lee, Yoon, Jung, Interspeech 2020).

    With the paper's parts, 7 classes and V words in the vocabulary it has
    ``300 V + 1,020,949`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    audio_encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, words, features]``.
    fusion : torch.nn.Module
        From both encodings and a mask to contexts and attention.
    classifier : torch.nn.Module
        From contexts to an ``EmotionOutput``.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import CrossAttention
    >>> from speechbrain_can.lobes.audio import WordFrameBLSTM
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = CrossAttentionNetwork(
    ...     text_encoder=WordBLSTM(WordEmbedding(300)),
    ...     audio_encoder=WordFrameBLSTM(),
    ...     fusion=CrossAttention(input_size=256),
    ...     classifier=CrossClassifier(input_size=256, n_classes=7),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([4, 2, 3]),
    ...     word_counts=torch.tensor([2, 1]),
    ... )
    >>> output = model([["oh", "really"], ["yes"]], audio)
    >>> output.logits["joint"].shape, output.attention.audio.shape
    (torch.Size([2, 7]), torch.Size([2, 2, 4]))
    """

    def __init__(self, text_encoder, audio_encoder, fusion, classifier):
        super().__init__()
        self.text_encoder = text_encoder
        self.audio_encoder = audio_encoder
        self.fusion = fusion
        self.classifier = classifier

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        self.text_encoder.fit_vocabulary(train_words, other_words)

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            The frames of the same words.

        Returns
        -------
        EmotionOutput
            Logits, their weights and the attention.
        """
        contexts, attention = self.fusion(
            self.text_encoder(words),
            self.audio_encoder(audio),
            real_steps(audio.word_counts),
        )
        output = self.classifier(contexts)
        output.attention = attention
        return output
