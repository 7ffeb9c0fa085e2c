"""Emotional dimensions: regression of arousal, valence and dominance.

Dimensions have joint, text and audio predictions like the emotions of CAN (eqs 10-12),
and are trained together with them or on their own.
"""

from dataclasses import dataclass
from typing import Dict, Tuple, Union

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput

EPSILON = 1e-8


@dataclass
class DimensionOutput(EmotionOutput):
    """Output with emotional dimensions.

    Arguments
    ---------
    values : dict of str: torch.Tensor
        Standardized dimensions of each prediction by name, ``[batch, dimensions]``:
        training labels have a mean of 0 and a standard deviation of 1.
    value_weights : dict of str: float
        Weight of each prediction in loss and decision.
    emotion_weight : float
        Weight of the emotions in the loss.
    scale : tuple of torch.Tensor
        Mean and standard deviation of the training labels, ``[dimensions]`` each.
    """

    values: Dict[str, torch.Tensor] = None
    value_weights: Dict[str, float] = None
    emotion_weight: float = 1.0
    scale: Tuple[torch.Tensor, torch.Tensor] = None


class DimensionClassifier(torch.nn.Module):
    """Classifier of emotions with linear regressions of dimensions.

    Arguments
    ---------
    classifier : torch.nn.Module
        Maps contexts to an ``EmotionOutput``.
    input_size : int
        Features per context.
    n_dimensions : int
        Number of dimensions.
    align_weight : float
        Weight of the text and the audio prediction relative to the joint one; see
        ``CrossClassifier``.
    emotion_weight : float
        Weight of the emotions in the loss. With 0, dimensions are trained on their own:
        emotions are predicted from the same contexts, but do not train them.

    Example
    -------
    >>> from speechbrain_can.lobes.attention import Contexts
    >>> from speechbrain_can.lobes.classifiers import CrossClassifier
    >>> classifier = DimensionClassifier(
    ...     CrossClassifier(256, 7), input_size=256
    ... )
    >>> output = classifier(Contexts(*torch.randn(4, 2, 256)))
    >>> {name: tuple(values.shape) for name, values in output.values.items()}
    {'joint': (2, 3), 'text': (2, 3), 'audio': (2, 3)}
    >>> decide_dimensions(output).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        input_size: int,
        n_dimensions: int = 3,
        align_weight: float = 0.1,
        emotion_weight: float = 1.0,
    ):
        super().__init__()
        self.classifier = classifier
        self.joint = torch.nn.Linear(4 * input_size, n_dimensions)
        self.text = torch.nn.Linear(input_size, n_dimensions)
        self.audio = torch.nn.Linear(input_size, n_dimensions)
        self.emotion_weight = emotion_weight
        self.weights = {
            "joint": 1.0,
            "text": float(align_weight),
            "audio": float(align_weight),
        }
        self.register_buffer("mean", torch.zeros(n_dimensions))
        self.register_buffer("std", torch.ones(n_dimensions))

    def fit_dimensions(self, labels: torch.Tensor) -> None:
        """Set mean and standard deviation from training labels.

        ``labels`` are ``[utterances, dimensions]``, with NaN for missing ones.
        """
        known = ~labels.isnan()
        counts = known.sum(dim=0)
        mean = labels.nan_to_num().sum(dim=0) / counts
        squares = ((labels - mean) ** 2).nan_to_num().sum(dim=0)
        self.mean.copy_(mean)
        self.std.copy_((squares / counts).sqrt())

    def forward(
        self, contexts: Union[torch.Tensor, Tuple[torch.Tensor, ...]]
    ) -> DimensionOutput:
        """Return logits of emotions and values of dimensions."""
        read = contexts
        if not self.emotion_weight:
            read = type(contexts)(*(each.detach() for each in contexts))
        output = self.classifier(read)
        return DimensionOutput(
            output.logits,
            output.weights,
            output.attention,
            values={
                "joint": self.joint(torch.cat(contexts, dim=-1)),
                "text": self.text(contexts.tt),
                "audio": self.audio(contexts.aa),
            },
            value_weights=self.weights,
            emotion_weight=self.emotion_weight or 1.0,
            scale=(self.mean, self.std),
        )


def decide_dimensions(output: DimensionOutput) -> torch.Tensor:
    """Return the weighted mean of the predictions in the units of the labels.

    Arguments
    ---------
    output : DimensionOutput
        Output of a model.

    Returns
    -------
    torch.Tensor
        Dimensions, ``[batch, dimensions]``.
    """
    total = sum(output.value_weights.values())
    values = (
        sum(
            weight * output.values[name].float()
            for name, weight in output.value_weights.items()
        )
        / total
    )
    mean, std = output.scale
    return mean + std * values


def concordance(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the concordance correlation coefficient (CCC) of each dimension.

    CCC is 2 cov / (var + var' + (mean - mean')²), 1 for equal values and 0 for a
    constant prediction (Lin, "A concordance correlation coefficient to evaluate
    reproducibility", Biometrics 1989).

    Arguments
    ---------
    values : torch.Tensor
        Predictions, ``[batch, dimensions]``.
    labels : torch.Tensor
        Labels, ``[batch, dimensions]``; those that are NaN are ignored.

    Returns
    -------
    torch.Tensor
        ``[dimensions]``.

    Example
    -------
    >>> labels = torch.tensor([[1.0], [2.0], [3.0], [float("nan")]])
    >>> (
    ...     concordance(labels.nan_to_num(), labels),
    ...     concordance(labels + 1, labels),
    ... )
    (tensor([1.]), tensor([0.5714]))
    """
    known = ~labels.isnan()
    counts = known.sum(dim=0).clamp(min=1)

    def mean(each):
        return torch.where(known, each, 0.0).sum(dim=0) / counts

    values = torch.where(known, values, 0.0)
    labels = torch.where(known, labels, 0.0)
    own, reference = mean(values), mean(labels)
    deviation, expected = values - own, labels - reference
    spread = mean(deviation**2) + mean(expected**2) + (own - reference) ** 2
    return 2 * mean(deviation * expected) / (spread + EPSILON)


class DimensionLoss(torch.nn.Module):
    """1 - CCC and mean squared error of standardized dimensions.

    CCC is computed over each batch, and over the share of each process. Use at least 16
    utterances per batch and process.

    Arguments
    ---------
    ccc_weight : float
        Weight of 1 - CCC, the mean over dimensions.
    mse_weight : float
        Weight of the mean squared error.

    Example
    -------
    >>> values = torch.tensor([[0.0], [1.0]])
    >>> loss = DimensionLoss(ccc_weight=1.0, mse_weight=0.5)
    >>> bool(loss({"joint": values}, values)["joint"] < 1e-6)
    True
    """

    def __init__(self, ccc_weight: float = 1.0, mse_weight: float = 0.0):
        super().__init__()
        self.ccc_weight = ccc_weight
        self.mse_weight = mse_weight

    def forward(
        self, values: Dict[str, torch.Tensor], labels: torch.Tensor
    ) -> Dict[str, torch.Tensor]:
        """Return the loss of each prediction, a scalar.

        Arguments
        ---------
        values : dict of str: torch.Tensor
            Predictions by name, ``[batch, dimensions]``.
        labels : torch.Tensor
            Standardized labels, ``[batch, dimensions]``; NaN if missing.

        Returns
        -------
        dict of str: torch.Tensor
            The losses.
        """
        known = ~labels.isnan()
        rated = known.any(dim=0)
        losses = {}
        for name, own in values.items():
            own = own.float()
            difference = torch.where(known, own - labels.nan_to_num(), 0.0)
            mse = (difference**2).sum() / known.sum().clamp(min=1)
            ccc = torch.where(rated, 1 - concordance(own, labels), 0.0)
            ccc = ccc.sum() / rated.sum().clamp(min=1)
            losses[name] = self.ccc_weight * ccc + self.mse_weight * mse
        return losses


def standardized(output: DimensionOutput, labels: torch.Tensor) -> torch.Tensor:
    """Return labels ``[batch, dimensions]`` in the units of ``output.values``."""
    mean, std = output.scale
    return (labels.to(mean) - mean) / std
