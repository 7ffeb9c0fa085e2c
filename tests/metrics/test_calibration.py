"""Temperature scaling."""

import pytest
import torch

from speechbrain_can.metrics.calibration import BOUNDS, fit_temperature


def test_a_temperature_at_its_bound_is_reported(caplog):
    """All predictions are correct, or confidently wrong."""
    log_probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()
    found = fit_temperature(log_probabilities, torch.tensor([0, 1]))
    assert found == pytest.approx(BOUNDS[0], rel=0.01)
    assert "temperature 0.05 was fitted on 2 held-out" in caplog.text
    caplog.clear()
    found = fit_temperature(log_probabilities, torch.tensor([1, 0]))
    assert found == pytest.approx(BOUNDS[1], rel=0.01)
    assert "temperature 20.00 was fitted on 2 held-out" in caplog.text
    # the loss is flat before the bound
    for p in (0.9, 0.95, 0.99, 0.999):
        caplog.clear()
        fit_temperature(
            torch.tensor([[p, 1 - p]] * 5).log(), torch.zeros(5).long()
        )
        assert "5 of which are predicted correctly" in caplog.text


def test_other_temperatures_are_not_reported(caplog):
    confident = torch.tensor([[0.99, 0.01]] * 4).log()
    found = fit_temperature(confident, torch.tensor([0, 0, 0, 1]))
    assert 4 < found < 4.5 and not caplog.text
