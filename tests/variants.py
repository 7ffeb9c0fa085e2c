"""Run pytest repeatedly under different conditions and print a table.

    python tests/variants.py seeds -- <pytest command>
    python tests/variants.py portable -- <pytest command>

``seeds`` shifts every seed of the tests that train. ``portable`` changes the
number of threads and the vector instructions that torch and oneDNN use, as if
the suite ran on other processors. The exit status is 1 if any variant fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Dict, List, NamedTuple

from tabulate import tabulate


class Variant(NamedTuple):
    """Conditions of a run: additional pytest arguments and environment."""

    name: str
    arguments: List[str]
    environment: Dict[str, str]


def instructions(aten: str, onednn: str, mkl: str) -> Dict[str, str]:
    """Return the environment that limits the vector instructions."""
    return {
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
    }


ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# idle threads must not occupy cores
FOUR_THREADS = {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}
AVX2 = instructions("avx2", "AVX2", "AVX2")
BASELINE = instructions("default", "SSE41", "SSE4_2")
VARIANTS = {
    "seeds": [
        Variant(
            f"seeds + {offset}",
            ["-m", "training", f"--seed-offset={offset}"],
            ONE_THREAD,
        )
        for offset in (1, 2, 3, 5, 8)
    ],
    "portable": [
        Variant("1 thread", [], ONE_THREAD),
        Variant("4 threads", [], FOUR_THREADS),
        Variant("1 thread, AVX2", [], {**ONE_THREAD, **AVX2}),
        Variant("4 threads, baseline", [], {**FOUR_THREADS, **BASELINE}),
    ],
}


def run(variant: Variant, command: List[str]) -> Dict[str, object]:
    """Run pytest and return a row of the table."""
    print(f"\n{variant.name}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        status = subprocess.run(
            [*command, *variant.arguments, f"--junitxml={report}"],
            env={**os.environ, **variant.environment},
        ).returncode
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        if report.exists():
            for suite in ElementTree.parse(report).iter("testsuite"):
                for name in counts:
                    counts[name] += int(suite.get(name))
    tests, failures, errors, skipped = counts.values()
    return {
        "variant": variant.name,
        "passed": tests - failures - errors - skipped,
        "failed": failures + errors,
        "skipped": skipped,
        "minutes": f"{(time.monotonic() - begun) / 60:.1f}",
        "exit status": status,
    }


def main() -> None:
    """Parse the command line, run all variants, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", choices=VARIANTS)
    parser.add_argument("command", nargs="+", help="the pytest command")
    options = parser.parse_args()
    rows = [run(each, options.command) for each in VARIANTS[options.variants]]
    print(f"\n{tabulate(rows, headers='keys', tablefmt='github')}")
    sys.exit(any(row["exit status"] for row in rows))


if __name__ == "__main__":
    main()
