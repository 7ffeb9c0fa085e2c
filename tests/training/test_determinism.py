"""The same seed produces the same bytes on one machine."""

import subprocess

import pytest
from helpers.recipes import command, on, run

pytestmark = pytest.mark.training

RESULTS = ("results.json", "fold_1/result.json", "fold_1/predictions.csv")


def results(folder):
    return [(folder / name).read_bytes() for name in RESULTS]


@pytest.fixture(scope="module")
def alone(controlled_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    run(folder, *on(controlled_corpus), "--fold=1", "--num_workers=0")
    return results(folder)


def test_workers_do_not_change_results(alone, controlled_corpus, tmp_path):
    run(
        tmp_path,
        *on(controlled_corpus),
        *("--fold=1", "--num_workers=2", "--feature_workers=2"),
    )
    assert results(tmp_path) == alone


def test_workers_do_not_change_augmentation(controlled_corpus, tmp_path):
    """Augmentation, sampling and mixup."""
    found = []
    for workers in (0, 2):
        folder = tmp_path / str(workers)
        run(
            folder,
            *on(controlled_corpus),
            *("--fold=1", f"--num_workers={workers}"),
            model="can_small_data",
        )
        found.append(results(folder))
    assert found[0] == found[1]


def test_seed_changes_the_result(alone, controlled_corpus, tmp_path):
    run(tmp_path, *on(controlled_corpus), "--fold=1", "--seed=1")
    assert results(tmp_path) != alone


def test_concurrent_runs_are_independent(alone, controlled_corpus, tmp_path):
    folders = [tmp_path / str(i) for i in range(2)]
    processes = [
        subprocess.Popen(
            **command(folder, *on(controlled_corpus), "--fold=1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in folders
    ]
    for process, folder in zip(processes, folders):
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert results(folder) == alone
