"""Losses, and the decision of CAN (eqs 13-15).

Losses and decision use the logits and weights that a model returns, so they also apply to
models with a single prediction.
"""

from typing import Dict, List, Union

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput
from speechbrain_can.lobes.mixup import class_shares


def cross_entropies(
    output: EmotionOutput, targets: torch.Tensor
) -> Dict[str, torch.Tensor]:
    """Return the cross entropy of each utterance, ``[batch]``, by prediction.

    ``targets`` are class indices ``[batch]``.
    """
    return {
        name: torch.nn.functional.cross_entropy(
            logits, targets, reduction="none"
        )
        for name, logits in output.logits.items()
    }


def total_loss(
    losses: Dict[str, torch.Tensor], weights: Dict[str, float]
) -> torch.Tensor:
    """Return the weighted sum of losses ``[batch]`` (eqs 13 and 14).

    Example
    -------
    >>> losses = {"joint": torch.tensor([1.0]), "text": torch.tensor([2.0])}
    >>> total_loss(losses, {"joint": 1.0, "text": 0.1})
    tensor([1.2000])
    """
    return sum(weights[name] * loss for name, loss in losses.items())


def decide(output: EmotionOutput) -> torch.Tensor:
    """Combine the predictions of a model (eq. 15), normalized to probabilities.

    The product of probabilities raised to their weights is computed as a sum of
    logarithms. Predictions with weight 0 are ignored.

    Arguments
    ---------
    output : EmotionOutput
        Logits by name, ``[batch, classes]``.

    Returns
    -------
    torch.Tensor
        Log-probabilities, ``[batch, classes]``.

    Example
    -------
    >>> half = torch.tensor([[0.5, 0.5]]).log()
    >>> sure = torch.tensor([[0.8, 0.2]]).log()
    >>> output = EmotionOutput(
    ...     {"joint": half, "text": sure}, {"joint": 1.0, "text": 1.0}
    ... )
    >>> decide(output).exp()
    tensor([[0.8000, 0.2000]])
    """
    return sum(
        output.weights[name] * logits.log_softmax(dim=-1)
        for name, logits in output.logits.items()
        if output.weights[name]
    ).log_softmax(dim=-1)


BALANCED = "balanced"


class EmotionLoss(torch.nn.Module):
    """Cross entropy with class weights, focal loss and label smoothing.

    With the defaults it equals ``losses.cross_entropies``. Training uses the hparams
    key ``loss``; validation and test report the plain cross entropy.

    Arguments
    ---------
    class_weights : str, list of float or None
        ``balanced`` weights classes by the inverse of their share in the
        training set, with a mean weight of 1, as scikit-learn does. A list
        contains the weight of each class in the order of the corpus.
    focal_gamma : float
        Exponent of the factor ``(1 - p)**focal_gamma`` for utterances whose
        label has the probability p (Lin et al., "Focal Loss for Dense Object
        Detection", ICCV 2017).
    label_smoothing : float
        Share of each target that is distributed over all classes (Szegedy et
        al., "Rethinking the Inception Architecture", CVPR 2016).

    Raises
    ------
    ValueError
        If the class weights are invalid.

    Example
    -------
    >>> from speechbrain_can.lobes.classifiers import single_output
    >>> loss = EmotionLoss(class_weights="balanced")
    >>> loss.fit_classes(torch.tensor([30, 10]))
    >>> output = single_output(torch.zeros(2, 2))
    >>> loss(output, torch.tensor([0, 1]))["joint"]
    tensor([0.4621, 1.3863])
    """

    def __init__(
        self,
        class_weights: Union[str, List[float], None] = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        if isinstance(class_weights, str) and class_weights != BALANCED:
            raise ValueError(
                f"class_weights must be {BALANCED!r}, a list of numbers or null, "
                f"but is {class_weights!r}"
            )
        self.class_weights = class_weights
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self._weights = None

    def fit_classes(self, counts: torch.Tensor) -> None:
        """Compute the class weights from the training utterances per class, ``[classes]``."""
        if self.class_weights is None:
            return
        if self.class_weights == BALANCED:
            self._weights = counts.sum() / (len(counts) * counts.clamp(min=1))
            return
        if len(self.class_weights) != len(counts):
            raise ValueError(
                f"got {len(self.class_weights)} class_weights for "
                f"{len(counts)} classes"
            )
        self._weights = torch.tensor(self.class_weights, dtype=torch.float)

    def forward(
        self, output: EmotionOutput, targets: torch.Tensor
    ) -> Dict[str, torch.Tensor]:
        """Return the loss of each utterance, ``[batch]``, by prediction.

        Arguments
        ---------
        output : EmotionOutput
            Logits by name, ``[batch, classes]``.
        targets : torch.Tensor
            Class indices ``[batch]`` or class shares ``[batch, classes]``.

        Returns
        -------
        dict of str: torch.Tensor
            The losses.
        """
        if not (self.focal_gamma or self.label_smoothing) and (
            self._weights is None
        ):
            return cross_entropies(output, targets)
        return {
            name: self._of(logits.float(), targets)
            for name, logits in output.logits.items()
        }

    def _of(self, logits, targets):
        n_classes = logits.shape[1]
        shares = class_shares(targets, n_classes).to(logits)
        smooth = (1 - self.label_smoothing) * shares
        smooth = smooth + self.label_smoothing / n_classes
        log_probabilities = logits.log_softmax(dim=1)
        loss = -(smooth * log_probabilities).sum(dim=1)
        if self._weights is not None:
            # The weight depends on the label, not on the smoothed target.
            loss = loss * (shares @ self._weights.to(logits))
        if self.focal_gamma:
            probability = (shares * log_probabilities.exp()).sum(dim=1)
            loss = loss * (1 - probability).clamp(min=0) ** self.focal_gamma
        return loss
