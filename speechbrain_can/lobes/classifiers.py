"""Classifiers: map context vectors to predictions and their weights."""

from dataclasses import dataclass
from typing import Dict, Optional

import torch

from speechbrain_can.lobes.attention import Attention, Contexts


@dataclass
class EmotionOutput:
    """Output of a model for a batch.

    Arguments
    ---------
    logits : dict of str: torch.Tensor
        Logits of each prediction by name, ``[batch, classes]``.
    weights : dict of str: float
        Weight of each prediction in loss and decision (eqs 14 and 15).
    attention : Attention or None
        Attention over words, if the model has any.
    """

    logits: Dict[str, torch.Tensor]
    weights: Dict[str, float]
    attention: Optional[Attention] = None


class CrossClassifier(torch.nn.Module):
    """Three linear classifiers of the contexts (eqs 10-12).

    ``joint`` uses all four contexts, ``text`` only c^(TT) and ``audio`` only c^(AA).
    With 256 features and 7 classes there are 10,773 parameters.

    Arguments
    ---------
    input_size : int
        Features per context.
    n_classes : int
        Number of emotions.
    align_weight : float
        alpha of eqs 14 and 15: the weight of ``text`` and ``audio`` relative to
        ``joint``. With 0, only ``joint`` is trained and used.

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

    def __init__(
        self, input_size: int, n_classes: int, align_weight: float = 0.1
    ):
        super().__init__()
        self.joint = torch.nn.Linear(4 * input_size, n_classes)
        self.text = torch.nn.Linear(input_size, n_classes)
        self.audio = torch.nn.Linear(input_size, n_classes)
        self.weights = {
            "joint": 1.0,
            "text": float(align_weight),
            "audio": float(align_weight),
        }

    def forward(self, contexts: Contexts) -> EmotionOutput:
        """Return three sets of logits and their weights."""
        logits = {
            "joint": self.joint(torch.cat(contexts, dim=-1)),
            "text": self.text(contexts.tt),
            "audio": self.audio(contexts.aa),
        }
        return EmotionOutput(logits, self.weights)


class SingleClassifier(torch.nn.Module):
    """Linear classifier of one context vector.

    With 256 features and 7 classes there are 1,799 parameters.

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

    def __init__(self, input_size: int, n_classes: int):
        super().__init__()
        self.joint = torch.nn.Linear(input_size, n_classes)

    def forward(self, contexts: torch.Tensor) -> EmotionOutput:
        """Classify contexts ``[batch, features]``."""
        return single_output(self.joint(contexts))


class UncrossedClassifier(torch.nn.Module):
    """Classifier of c^(TT) and c^(AA) only (Table 4, "- cross attention").

    Without crossed contexts, there is neither a stop-gradient nor an L_align. With
    256 features and 7 classes there are 3,591 parameters.

    Arguments
    ---------
    input_size : int
        Features per context.
    n_classes : int
        Number of emotions.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import Contexts
    >>> classifier = UncrossedClassifier(input_size=256, n_classes=7)
    >>> classifier(Contexts(*torch.randn(4, 2, 256))).logits["joint"].shape
    torch.Size([2, 7])
    """

    def __init__(self, input_size: int, n_classes: int):
        super().__init__()
        self.joint = torch.nn.Linear(2 * input_size, n_classes)

    def forward(self, contexts: Contexts) -> EmotionOutput:
        """Return one set of logits."""
        return single_output(
            self.joint(torch.cat([contexts.tt, contexts.aa], dim=-1))
        )


def single_output(logits: torch.Tensor) -> EmotionOutput:
    """Return an output with a single prediction of weight 1."""
    return EmotionOutput({"joint": logits}, {"joint": 1.0})
