"""Mixup of what a classifier sees."""

from dataclasses import dataclass

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput


@dataclass
class MixedOutput(EmotionOutput):
    """What a model says of utterances that were mixed.

    Arguments
    ---------
    order : torch.Tensor
        With which utterance each was mixed, shape ``[batch]``.
    share : torch.Tensor
        Of each utterance itself, shape ``[batch, 1]``.
    """

    order: torch.Tensor = None
    share: torch.Tensor = None


class Mixup(torch.nn.Module):
    """A classifier that is trained on mixed contexts (manifold mixup).

    Words of two utterances do not fall on one another, their contexts do: each
    utterance's are mixed with another's of the batch, and so are the targets
    (Verma et al., "Manifold Mixup", ICML 2019).

    Arguments
    ---------
    classifier : torch.nn.Module
        From contexts to an ``EmotionOutput``.
    alpha : float
        Of the Beta distribution that shares are drawn from; 0 mixes nothing.

    Example
    -------
    >>> from speechbrain_can.lobes.classifiers import SingleClassifier
    >>> classifier = Mixup(SingleClassifier(256, n_classes=7), alpha=0.2)
    >>> output = classifier(torch.randn(4, 256))
    >>> mixed_targets(output, torch.tensor([0, 1, 2, 3])).shape
    torch.Size([4, 7])
    """

    def __init__(self, classifier, alpha=0.2):
        super().__init__()
        self.classifier = classifier
        self.alpha = alpha

    def forward(self, contexts):
        """Classifies a batch.

        Arguments
        ---------
        contexts : torch.Tensor or tuple of torch.Tensor
            Each of shape ``[batch, features]``.

        Returns
        -------
        EmotionOutput
            Of mixed utterances, a ``MixedOutput``, in training.
        """
        if not (self.training and self.alpha):
            return self.classifier(contexts)
        parts = (contexts,) if torch.is_tensor(contexts) else contexts
        order = torch.randperm(len(parts[0]), device=parts[0].device)
        concentration = torch.full((len(order), 1), float(self.alpha))
        share = torch.distributions.Beta(concentration, concentration).sample()
        share = share.to(parts[0])
        mixed = [share * x + (1 - share) * x[order] for x in parts]
        output = self.classifier(
            mixed[0] if torch.is_tensor(contexts) else type(contexts)(*mixed)
        )
        return MixedOutput(
            output.logits, output.weights, order=order, share=share
        )


def mixed_targets(output, targets):
    """Targets as an output's utterances were mixed.

    Arguments
    ---------
    output : EmotionOutput
        If it is no ``MixedOutput``, targets are as they were.
    targets : torch.Tensor
        Classes, shape ``[batch]``, or shares of them, ``[batch, classes]``.

    Returns
    -------
    torch.Tensor
        Shares of the classes, shape ``[batch, classes]``, where mixed.
    """
    if not isinstance(output, MixedOutput):
        return targets
    n_classes = next(iter(output.logits.values())).shape[1]
    shares = class_shares(targets, n_classes).to(output.share)
    return output.share * shares + (1 - output.share) * shares[output.order]


def class_shares(targets, n_classes):
    """Classes ``[batch]``, or shares already, as shares ``[batch, classes]``."""
    if targets.dim() == 2:
        return targets
    return torch.nn.functional.one_hot(targets, n_classes).float()
