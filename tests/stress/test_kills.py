"""The short form of the kills of ``make stress``."""

import subprocess
import sys

from helpers.recipes import ROOT
from stress.counts import read


def test_what_is_killed_ends_the_same():
    """In a process of its own: one that has computed cannot be forked."""
    result = subprocess.run(
        [sys.executable, "tests/stress/kills.py", "8", "--seed=1", "--short"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    counts = read(result.stdout)["kills"]
    assert counts["survived"] == counts["tried"] >= 8
