"""The seeds of the tests, which ``pytest --seed-offset`` shifts."""

import os

VARIABLE = "SPEECHBRAIN_CAN_SEED_OFFSET"


def shifted(seed: int) -> int:
    """Return a seed plus the offset of this run of the tests.

    The offset travels in the environment: worker processes of pytest and the
    programs that tests start must draw the same numbers.
    """
    return seed + int(os.environ.get(VARIABLE, 0))
