"""Calibration of predicted probabilities."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from speechbrain.utils.logger import get_logger

# Bins of the expected calibration error, as in Guo et al. (ICML 2017)
BINS = 15
BOUNDS = (0.05, 20.0)  # of the temperature

logger = get_logger(__name__)


def fit_temperature(
    log_probabilities: torch.Tensor, targets: torch.Tensor
) -> float:
    """Fit the temperature that minimizes the cross entropy (temperature scaling).

    Log-probabilities are divided by the temperature (Guo et al., "On Calibration
    of Modern Neural Networks", ICML 2017).

    Arguments
    ---------
    log_probabilities : torch.Tensor
        Predictions for held-out utterances, ``[utterances, classes]``.
    targets : torch.Tensor
        Class indices, ``[utterances]``.

    Returns
    -------
    float
        Between 0.05 and 20; above 1, the model was overconfident. A value at a
        bound, or fitted on correct predictions only, is logged as a warning.

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
        cross_entropy, bounds=np.log(BOUNDS), method="bounded"
    )
    temperature = float(np.exp(found.x))
    inside = BOUNDS[0] * 1.01 < temperature < BOUNDS[1] / 1.01
    correct = log_probabilities.argmax(1) == targets
    if not inside or correct.all():
        logger.warning(
            "The temperature %.2f was fitted on %d held-out utterances, %d of which "
            "are predicted correctly. It is too few to calibrate probabilities; use "
            "more held-out utterances.",
            temperature,
            len(targets),
            correct.sum(),
        )
    return temperature


def calibration(
    log_probabilities: torch.Tensor, targets: torch.Tensor, temperature: float
) -> dict[str, float]:
    """Return the expected calibration error with and without a temperature.

    Arguments
    ---------
    log_probabilities : torch.Tensor
        Predictions, ``[utterances, classes]``.
    targets : torch.Tensor
        Class indices, ``[utterances]``.
    temperature : float
        Divisor of the log-probabilities.

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


def calibration_error(
    probabilities: torch.Tensor, targets: torch.Tensor
) -> float:
    """Return the expected calibration error of probabilities ``[utterances, classes]``."""
    # Importing torchmetrics takes a second, which prediction does not need.
    from torchmetrics.functional.classification import (
        multiclass_calibration_error,
    )

    return multiclass_calibration_error(
        probabilities,
        targets,
        num_classes=probabilities.shape[1],
        n_bins=BINS,
    ).item()
