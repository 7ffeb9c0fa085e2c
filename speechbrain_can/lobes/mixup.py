"""Mixup of the input of a classifier."""

from dataclasses import dataclass
from typing import Tuple, Union

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput
from speechbrain_can.lobes.ragged import send


@dataclass
class MixedOutput(EmotionOutput):
    """Output for mixed utterances.

    Arguments
    ---------
    order : torch.Tensor
        Index of the utterance that each one is mixed with, ``[batch]``.
    share : torch.Tensor
        Share of each utterance itself, ``[batch, 1]``.
    """

    order: torch.Tensor = None
    share: torch.Tensor = None


class Mixup(torch.nn.Module):
    """Classifier that mixes contexts during training (manifold mixup).

    The words of two utterances do not correspond, but their contexts do. Each
    utterance is mixed with another one of the batch, and so are the targets (Verma et
    al., "Manifold Mixup", ICML 2019).

    Arguments
    ---------
    classifier : torch.nn.Module
        Maps contexts to an ``EmotionOutput``.
    alpha : float
        Parameter of the Beta distribution of shares; 0 disables mixup.

    Example
    -------
    >>> from speechbrain_can.lobes.classifiers import SingleClassifier
    >>> classifier = Mixup(SingleClassifier(256, n_classes=7), alpha=0.2)
    >>> output = classifier(torch.randn(4, 256))
    >>> mixed_targets(output, torch.tensor([0, 1, 2, 3])).shape
    torch.Size([4, 7])
    """

    def __init__(self, classifier: torch.nn.Module, alpha: float = 0.2):
        super().__init__()
        self.classifier = classifier
        self.alpha = alpha

    def forward(
        self, contexts: Union[torch.Tensor, Tuple[torch.Tensor, ...]]
    ) -> EmotionOutput:
        """Classify contexts ``[batch, features]``; in training, mix them first."""
        if not (self.training and self.alpha):
            return self.classifier(contexts)
        parts = (contexts,) if torch.is_tensor(contexts) else contexts
        order = torch.randperm(len(parts[0]), device=parts[0].device)
        concentration = torch.full((len(order), 1), float(self.alpha))
        share = torch.distributions.Beta(concentration, concentration).sample()
        share = send(share.to(parts[0].dtype), parts[0].device)
        mixed = [share * x + (1 - share) * x[order] for x in parts]
        output = self.classifier(
            mixed[0] if torch.is_tensor(contexts) else type(contexts)(*mixed)
        )
        return MixedOutput(
            output.logits, output.weights, order=order, share=share
        )


def mixed_targets(output: EmotionOutput, targets: torch.Tensor) -> torch.Tensor:
    """Mix targets like the utterances of an output.

    Arguments
    ---------
    output : EmotionOutput
        If it is not a ``MixedOutput``, the targets are unchanged.
    targets : torch.Tensor
        Class indices ``[batch]`` or class shares ``[batch, classes]``.

    Returns
    -------
    torch.Tensor
        Class shares, ``[batch, classes]``, if mixed.
    """
    if not isinstance(output, MixedOutput):
        return targets
    n_classes = next(iter(output.logits.values())).shape[1]
    shares = class_shares(targets, n_classes).to(output.share)
    return output.share * shares + (1 - output.share) * shares[output.order]


def class_shares(targets: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Convert class indices ``[batch]`` to shares ``[batch, classes]``."""
    if targets.dim() == 2:
        return targets
    return torch.nn.functional.one_hot(targets, n_classes).float()
