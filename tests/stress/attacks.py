"""Run all tests with malicious input and count the outcomes.

    python tests/stress/attacks.py

These are the tests with the marker ``attack``. Each attack must be refused or shown as text.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.recipes import ROOT  # noqa: E402
from stress import counts  # noqa: E402


class Count:
    """Outcomes of attacks, as pytest reports them."""

    def __init__(self):
        self.outcomes = Counter()

    def pytest_runtest_logreport(self, report):
        """Count the outcome of an attack; tests that did not run do not count."""
        if report.failed:
            self.outcomes["silent"] += 1
        elif report.when == "call" and report.passed:
            self.outcomes["refused"] += 1


def main():
    """Parse the command line and run the attacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seed", type=int, help="ignored; attacks are not random"
    )
    parser.parse_args()
    count = Count()
    status = pytest.main(
        [f"--rootdir={ROOT}", "-m", "attack", "-q", str(ROOT / "tests")],
        plugins=[count],
    )
    print(counts.line("attacks", count.outcomes))
    sys.exit(status)


if __name__ == "__main__":
    main()
