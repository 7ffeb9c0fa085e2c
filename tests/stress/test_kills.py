"""The short form of the kills of ``make stress``."""

import re
import subprocess
import sys

from helpers.recipes import ROOT


def test_what_is_killed_ends_the_same():
    """In a process of its own: one that has computed cannot be forked."""
    result = subprocess.run(
        [sys.executable, "tests/stress/kills.py", "8", "1", "--short"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    counts = dict(re.findall(r"^ +(\w+) +(\d+)$", result.stdout, re.M))
    assert int(counts["tried"]) >= 8 and "lost" not in counts
    assert int(counts["survived"]) > 0
