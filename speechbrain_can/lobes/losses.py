"""Loss and decision of CAN (eqs 13-15).

Both use the logits and weights that a model returns, so they also apply to models
with a single prediction.
"""

from typing import Dict

import torch

from speechbrain_can.lobes.classifiers import EmotionOutput


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
