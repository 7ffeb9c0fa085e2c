"""Run every stress suite with a fixed seed, two in parallel, and print their counts.

    python tests/stress/all.py [<seed>]

``survived`` means that a case completed as expected, ``refused`` that the error names
a remedy, and ``bare`` that it does not, or that the command did not end.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.recipes import ROOT  # noqa: E402
from stress import counts  # noqa: E402

# the slowest suites first
SUITES = (
    ("kills.py", "40"),
    ("remains.py",),
    ("damage.py", "2000"),
    ("tables.py", "500"),
    ("attacks.py",),
)


def run(suite, seed):
    """Return the output of a suite, whether it failed, and its seconds."""
    script, *arguments = suite
    begun = time.monotonic()
    result = subprocess.run(
        [
            *(sys.executable, str(ROOT / "tests" / "stress" / script)),
            *(*arguments, "--seed", str(seed)),
        ],
        # two suites run in parallel
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    seconds = time.monotonic() - begun
    print(f"{script}, {seconds / 60:.1f} min\n{result.stdout}", flush=True)
    return result.stdout, result.returncode != 0


def main():
    """Parse the command line and run all suites."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda suite: run(suite, seed), SUITES))
    found = {}
    for printed, _ in ended:
        found.update(counts.read(printed))
    found["all"] = sum(found.values(), Counter())
    table = pd.DataFrame(
        [
            {name: row[name] for name in counts.COLUMNS}
            for row in found.values()
        ],
        index=list(found),
    )
    print(table.to_markdown())
    sys.exit(
        any(failed for _, failed in ended)
        or any(found["all"][name] for name in counts.FAILURES)
    )


if __name__ == "__main__":
    main()
