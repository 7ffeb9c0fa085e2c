"""A full disk, and a read-only folder."""

import os
import resource
import subprocess
import sys

import pytest
from helpers.recipes import command, on, run

RESULTS = ("results.json", "fold_1/result.json", "fold_1/predictions.csv")


def results(folder):
    return [(folder / name).read_bytes() for name in RESULTS]


def process_in_bytes(largest, folder, *arguments):
    """Run ``train.py`` in a process with a limit on file sizes."""
    result = subprocess.run(
        **command(folder, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (largest, largest)
        ),
    )
    assert result.returncode == 1, result.stdout
    return result.stdout


def run_in_bytes(largest, folder, *arguments):
    """Run ``train.py`` with a limit on file sizes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        return run(folder, *arguments, fails=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "largest, run_limited",
    [
        (3_000, run_in_bytes),
        (20_000, process_in_bytes),
        (200_000, run_in_bytes),
    ],
)
def test_full_disk_is_reported_once(
    largest, run_limited, controlled_corpus, trained, tmp_path, monkeypatch
):
    """During preparation, training and feature extraction."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    arguments = [*on(controlled_corpus), "--fold=1"]
    printed = run_limited(largest, tmp_path, *arguments)
    assert "Traceback" not in printed and len(printed) < 5_000
    assert "Free some disk space" in printed.splitlines()[-1]
    run(tmp_path, *arguments)
    assert results(tmp_path) == results(trained)


def test_finished_folds_are_kept(controlled_corpus, tmp_path):
    run(tmp_path, *on(controlled_corpus), "--fold=1")
    before = results(tmp_path)
    printed = run_in_bytes(20_000, tmp_path, *on(controlled_corpus), "--fold=2")
    assert "inished work is kept" in printed
    assert results(tmp_path) == before


def test_read_only_folder(controlled_corpus, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root may write everywhere
        folder = "/sys/results"
        if not os.path.isdir("/sys"):
            pytest.skip("there is nothing that may not be written to")
    printed = run(folder, *on(controlled_corpus), "--fold=1", fails=True)
    assert "Traceback" not in printed
    assert "its folder writable" in printed.splitlines()[-1]
