"""How far a model's probabilities are from how often it is right."""

import numpy as np
from scipy.optimize import minimize_scalar

# Of the expected calibration error, as Guo et al. (ICML 2017) have it
BINS = 15


def fit_temperature(log_probabilities, targets):
    """The temperature that makes probabilities fit how often they are right.

    Log-probabilities divided by it have the least cross entropy (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017).

    Arguments
    ---------
    log_probabilities : torch.Tensor
        Of utterances that were not trained on, shape ``[utterances, classes]``.
    targets : torch.Tensor
        Their classes, shape ``[utterances]``.

    Returns
    -------
    float
        Between 0.05 and 20; over 1 the model was too sure.

    Example
    -------
    >>> import torch
    >>> sure = torch.tensor([[0.99, 0.01]] * 4).log()
    >>> round(fit_temperature(sure, torch.tensor([0, 0, 0, 1])), 1)
    4.2
    """

    def cross_entropy(log_temperature):
        scaled = log_probabilities.double() / np.exp(log_temperature)
        chosen = scaled.log_softmax(1).gather(1, targets.view(-1, 1))
        return -chosen.mean().item()

    found = minimize_scalar(
        cross_entropy, bounds=np.log([0.05, 20]), method="bounded"
    )
    return float(np.exp(found.x))


def calibration(log_probabilities, targets, temperature):
    """Expected calibration error before and after a temperature.

    Arguments
    ---------
    log_probabilities : torch.Tensor
        Shape ``[utterances, classes]``.
    targets : torch.Tensor
        Class numbers, shape ``[utterances]``.
    temperature : float
        What logarithms are divided by.

    Returns
    -------
    dict of str: float
        ``temperature``, ``ECE`` and ``ECE calibrated``.

    Example
    -------
    >>> import torch
    >>> sure = torch.tensor([[0.99, 0.01]] * 4).log()
    >>> found = calibration(sure, torch.tensor([0, 0, 0, 1]), 4.18)
    >>> round(found["ECE"], 2), round(found["ECE calibrated"], 2)
    (0.24, 0.0)
    """
    before, after = (
        calibration_error((log_probabilities / t).softmax(dim=1), targets)
        for t in (1.0, temperature)
    )
    return {
        "temperature": temperature,
        "ECE": before,
        "ECE calibrated": after,
    }


def calibration_error(probabilities, targets):
    """Expected calibration error of probabilities ``[utterances, classes]``."""
    # a second of imports, which only training and reports need
    from torchmetrics.functional.classification import (
        multiclass_calibration_error,
    )

    return multiclass_calibration_error(
        probabilities,
        targets,
        num_classes=probabilities.shape[1],
        n_bins=BINS,
    ).item()
