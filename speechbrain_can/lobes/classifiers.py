"""Classifiers: from context vectors to predictions with their weights."""

from dataclasses import dataclass
from typing import Dict, Optional

import torch

from speechbrain_can.lobes.attention import Attention


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


class SingleClassifier(torch.nn.Module):
    """One linear classifier of one context vector.

    With 256 features and 7 classes it has 1,799 parameters.

    Arguments
    ---------
    input_size : int
        Features of the context.
    n_classes : int
        Number of emotions.

    Example
    -------
    >>> classifier = SingleClassifier(input_size=256, n_classes=7)
    >>> classifier(torch.randn(2, 256)).logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(self, input_size, n_classes):
        super().__init__()
        self.joint = torch.nn.Linear(input_size, n_classes)

    def forward(self, contexts):
        """Classifies a batch.

        Arguments
        ---------
        contexts : torch.Tensor
            Shape ``[batch, features]``.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        return single_output(self.joint(contexts))


class UncrossedClassifier(torch.nn.Module):
    """A classifier of c^(TT) and c^(AA) alone (Table 4, "- cross attention").

    Nothing is lent between the modalities, so that a stop-gradient has nothing
    to stop, and there is no L_align. With 256 features and 7 classes it has
    3,591 parameters.

    Arguments
    ---------
    input_size : int
        Features of a context.
    n_classes : int
        Number of emotions.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import Contexts
    >>> classifier = UncrossedClassifier(input_size=256, n_classes=7)
    >>> classifier(Contexts(*torch.randn(4, 2, 256))).logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(self, input_size, n_classes):
        super().__init__()
        self.joint = torch.nn.Linear(2 * input_size, n_classes)

    def forward(self, contexts):
        """Classifies a batch.

        Arguments
        ---------
        contexts : Contexts
            The context vectors.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        return single_output(
            self.joint(torch.cat([contexts.tt, contexts.aa], dim=-1))
        )


def single_output(logits):
    """One prediction of weight 1, from logits ``[batch, classes]``."""
    return EmotionOutput({"joint": logits}, {"joint": 1.0})
