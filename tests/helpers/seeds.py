"""The seeds of the tests, which ``pytest --seed-offset`` shifts."""

import os

VARIABLE = "SPEECHBRAIN_CAN_SEED_OFFSET"


def shifted(seed: int) -> int:
    """Return a seed plus the offset of this run of the tests.

    An environment variable contains the offset, because worker processes of pytest and
    scripts of tests must draw the same numbers.
    """
    return seed + int(os.environ.get(VARIABLE, 0))
