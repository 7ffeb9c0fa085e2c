"""Run all tests with malicious input and count the outcomes.

    python tests/stress/attacks.py

These are the tests with the marker ``attack``. Each attack must be refused or shown as
text, within 30 seconds and 2 GB of memory.
"""

import argparse
import resource
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.recipes import ROOT  # noqa: E402
from stress import counts  # noqa: E402

LONGEST = 30  # seconds of an attack
MOST = 2 * 2**20  # kilobytes of the whole process


class Count:
    """Outcomes of attacks, as pytest reports them."""

    def __init__(self):
        self.outcomes, self.kinds = Counter(), Counter()
        self.longest = 0.0

    def pytest_runtest_logreport(self, report):
        """Count the outcome of an attack; tests that did not run do not count."""
        if report.failed:
            self.outcomes["silent"] += 1
        elif report.when == "call" and report.passed:
            kind = report.nodeid.partition("[")[0].rpartition("::")[2]
            self.outcomes["refused"] += 1
            self.kinds[kind.removeprefix("test_").replace("_", " ")] += 1
            self.longest = max(self.longest, report.duration)


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
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind, number in sorted(count.kinds.items()):
        print(f"{number:4} {kind}")
    print(
        f"longest attack {count.longest:.1f} s, most memory of the process "
        f"{memory / 2**20:.2f} GB"
    )
    print(counts.line("attacks", count.outcomes))
    sys.exit(status or count.longest > LONGEST or memory > MOST)


if __name__ == "__main__":
    main()
