"""Short version of the damage of finished runs in ``make stress``."""

import pytest
from stress.remains import prepare, stress_model, stress_remains, stress_stale


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Return a corpus and a run on it, restored after each test."""
    folder = tmp_path_factory.mktemp("remains")
    prepare(folder)
    return folder


def test_damaged_runs_end_the_same_or_are_reported(scratch):
    outcomes, failures = stress_remains(scratch, seed=1, most=1, every=4)
    assert failures == [] and set(outcomes) == {"survived", "refused"}


def test_damaged_models_predict_the_same_or_are_reported(scratch):
    outcomes, failures = stress_model(scratch, seed=1, most=3)
    assert failures == [] and {"survived", "refused"} <= set(outcomes)


def test_changed_inputs_of_a_run(scratch):
    outcomes, failures = stress_stale(scratch)
    assert failures == [] and outcomes["refused"] > outcomes["survived"] > 0
