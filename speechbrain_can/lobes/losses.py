"""The training objective and the decision of CAN (eqs 13-15).

Both follow from what a model returns, sets of logits with weights, and hold
for a model with one set of logits just as well."""

import torch


def cross_entropies(output, targets):
    """Cross entropy of each utterance, ``[batch]``, by the prediction's name.

    ``output`` is an ``EmotionOutput``, ``targets`` are classes ``[batch]``.
    """
    return {
        name: torch.nn.functional.cross_entropy(
            logits, targets, reduction="none"
        )
        for name, logits in output.logits.items()
    }


def total_loss(losses, weights):
    """Weighted sum of losses ``[batch]``, both by name (eqs 13 and 14).

    Example
    -------
    >>> losses = {"joint": torch.tensor([1.0]), "text": torch.tensor([2.0])}
    >>> total_loss(losses, {"joint": 1.0, "text": 0.1})
    tensor([1.2000])
    """
    return sum(weights[name] * loss for name, loss in losses.items())


def decide(output):
    """The final prediction (eq. 15), renormalised to a probability.

    The product of the predictions, each to the power of its weight, is
    computed as a sum of logarithms. A prediction of weight 0 has no say.

    Arguments
    ---------
    output : EmotionOutput
        Logits of shape ``[batch, classes]`` by name.

    Returns
    -------
    torch.Tensor
        Log-probabilities, shape ``[batch, classes]``.

    Example
    -------
    >>> from speechbrain_can.lobes.classifiers import EmotionOutput
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
