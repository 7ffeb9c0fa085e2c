import json
import os
import subprocess
import sys

from helpers.recipes import ROOT


def test_all_of_it_runs(tmp_path):
    """At tiny sizes; its figures mean nothing."""
    result = subprocess.run(
        [
            sys.executable,
            "tests/benchmarks/run.py",
            "--quick",
            "--threads=1",
            f"--output_folder={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    points = {point["point"][0] for point in found["points"]}
    assert points == set("123456")
    for point in found["points"]:
        if "difference" in point["point"]:
            assert point["met"] == "yes", point
    assert (tmp_path / "growth.png").exists()
    assert "pack_padded_sequence" in (tmp_path / "benchmarks.md").read_text()
