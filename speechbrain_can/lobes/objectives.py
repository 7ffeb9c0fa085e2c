"""Objectives for small and skewed data, in the place of the plain cross entropy."""

import torch

from speechbrain_can.lobes.losses import cross_entropies
from speechbrain_can.lobes.mixup import class_shares

BALANCED = "balanced"


class EmotionLoss(torch.nn.Module):
    """Cross entropy with class weights, focal factor and label smoothing.

    With the defaults it is ``losses.cross_entropies``. Training takes it where
    the hparams have a ``loss``; validation and test report the plain one.

    Arguments
    ---------
    class_weights : str, list of float or None
        ``balanced`` weighs a class by the inverse of its share of the training
        set, so that the mean weight is 1, as scikit-learn does; a list has a
        weight for each class in the order of the corpus.
    focal_gamma : float
        An utterance whose classes have the probability p counts ``(1 -
        p)**focal_gamma`` (Lin et al., "Focal Loss for Dense Object Detection",
        ICCV 2017).
    label_smoothing : float
        Share of each target that goes to all classes alike (Szegedy et al.,
        "Rethinking the Inception Architecture", CVPR 2016).

    Raises
    ------
    ValueError
        If the class weights are of no such kind.

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
        self, class_weights=None, focal_gamma=0.0, label_smoothing=0.0
    ):
        super().__init__()
        if isinstance(class_weights, str) and class_weights != BALANCED:
            raise ValueError(
                f"class_weights is {class_weights!r}; give {BALANCED!r}, a list "
                "of numbers or null"
            )
        self.class_weights = class_weights
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self._weights = None

    def fit_classes(self, counts):
        """Learns how often each class is trained on.

        Arguments
        ---------
        counts : torch.Tensor
            Training utterances of each class, shape ``[classes]``.
        """
        if self.class_weights is None:
            return
        if self.class_weights == BALANCED:
            self._weights = counts.sum() / (len(counts) * counts.clamp(min=1))
            return
        if len(self.class_weights) != len(counts):
            raise ValueError(
                f"{len(self.class_weights)} class_weights for {len(counts)} "
                "classes"
            )
        self._weights = torch.tensor(self.class_weights, dtype=torch.float)

    def forward(self, output, targets):
        """The loss of each utterance.

        Arguments
        ---------
        output : EmotionOutput
            Logits of shape ``[batch, classes]`` by name.
        targets : torch.Tensor
            Classes, shape ``[batch]``, or shares of them, ``[batch, classes]``.

        Returns
        -------
        dict of str: torch.Tensor
            By the name of the logits, each of shape ``[batch]``.
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
            # of an utterance, not of the classes that smoothing gives it
            loss = loss * (shares @ self._weights.to(logits))
        if self.focal_gamma:
            probability = (shares * log_probabilities.exp()).sum(dim=1)
            loss = loss * (1 - probability).clamp(min=0) ** self.focal_gamma
        return loss
