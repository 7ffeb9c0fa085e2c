"""A full disk, and a folder that nobody may write to."""

import os
import resource

import pytest
from helpers.recipes import on, run

RESULTS = ("results.json", "fold_1/result.json", "fold_1/predictions.csv")


def results(folder):
    return [(folder / name).read_bytes() for name in RESULTS]


def run_in_bytes(largest, folder, *arguments):
    """Run ``train.py`` with a limit on file sizes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        return run(folder, *arguments, fails=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "largest", [3_000, 20_000, 200_000], ids=lambda size: f"{size} bytes"
)
def test_a_full_disk_is_told_once_and_loses_nothing(
    largest, controlled_corpus, trained, tmp_path
):
    """It is full in preparation, in training, and as features are stored."""
    arguments = [*on(controlled_corpus), "--fold=1"]
    printed = run_in_bytes(largest, tmp_path, *arguments)
    assert "Traceback" not in printed and len(printed) < 5_000
    assert "Make room" in printed.splitlines()[-1]
    run(tmp_path, *arguments)
    assert results(tmp_path) == results(trained)


def test_what_is_finished_is_kept(controlled_corpus, tmp_path):
    run(tmp_path, *on(controlled_corpus), "--fold=1")
    before = results(tmp_path)
    printed = run_in_bytes(20_000, tmp_path, *on(controlled_corpus), "--fold=2")
    assert "What is finished is kept" in printed
    assert results(tmp_path) == before


def test_a_folder_that_nobody_may_write_to(controlled_corpus, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # to whom everything is allowed
        folder = "/sys/results"
        if not os.path.isdir("/sys"):
            pytest.skip("there is nothing that may not be written to")
    printed = run(folder, *on(controlled_corpus), "--fold=1", fails=True)
    assert "Traceback" not in printed
    assert "its folder be written to" in printed.splitlines()[-1]
