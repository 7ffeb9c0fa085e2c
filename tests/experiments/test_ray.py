"""Comparisons and searches with Ray."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import torch
from click.testing import CliRunner
from helpers.recipes import RECIPES, ROOT, SMALL, copy_recipe, on, run
from helpers.training import assert_trained_once

from speechbrain_can.__main__ import main
from speechbrain_can.experiments.compare import plan_run
from speechbrain_can.experiments.ray import RayOptions
from speechbrain_can.experiments.search import spoiled_folds
from speechbrain_can.settings.hparams import SettingsError, read_settings

START = """
import sys
from speechbrain_can.experiments.ray import RayOptions, connected

with connected(RayOptions(workers=2)) as ray:
    print(ray.cluster_resources()["CPU"], flush=True)
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address():
    """Start one Ray instance for all tests and return its address."""
    # the paths of sockets are limited to about 100 characters
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", START],
            env={
                **os.environ,
                **{"PYTHONPATH": str(ROOT), "RAY_TMPDIR": folder},
                # by default, only the process that started Ray may connect
                "RAY_AUTH_MODE": "disabled",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "2.0\n"
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Copy the recipe and add a system that cannot train."""
    folder = copy_recipe(tmp_path_factory.mktemp("recipe"))
    (folder / "hparams" / "broken.yaml").write_text("base: can.yaml\nlr: -1\n")
    return folder


def arguments_of(corpus, *arguments, **overrides):
    options = {
        **SMALL,
        "--data_folder": corpus,
        "--protocol": "leave_one_session_out",
        **{f"--{key}": value for key, value in overrides.items()},
    }
    return [
        *map(str, arguments),
        *(f"{key}={value}" for key, value in options.items()),
    ]


def test_dead_workers_lose_no_results(recipe, controlled_corpus, address):
    folder = recipe / "results" / "on_ray"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "speechbrain_can", "compare"),
            *arguments_of(
                controlled_corpus,
                *("hparams/can.yaml", "hparams/broken.yaml", "--engine=ray"),
                *("--workers=2", "--output-folder=results/on_ray"),
                f"--ray-address={address}",
                fold=0,
                number_of_epochs=60,
                patience=100,
            ),
        ],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log = folder / "can" / "1234" / "fold_0" / "train_log.txt"
    deadline = time.time() + 240
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()[0]
        assert time.time() < deadline
        time.sleep(0.1)
    path = folder / "can" / "1234" / "output_fold_0.txt"
    os.kill(
        int(re.search(r"process (\d+)", path.read_text())[1]), signal.SIGKILL
    )
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert (
        "broken, seed 1234, fold 0 failed: SettingsError: invalid value lr=-1"
        in printed
    )
    assert "can, seed 1234, fold 0: WA" in printed
    output = path.read_text()
    # training started twice, but no epoch was repeated
    assert len(set(re.findall(r"^\d{4}-.* process (\d+)$", output, re.M))) == 2
    assert_trained_once(log, 60)
    result = json.loads((log.parent / "result.json").read_text())
    assert result["epochs"] == 60
    assert "| CAN " in (folder / "comparison.md").read_text("utf-8")


@pytest.fixture
def search(recipe, address, monkeypatch):
    """Run a search in this process; return its exit status and output."""
    monkeypatch.chdir(recipe)
    (recipe / "space.yaml").write_text(
        "align_weight: {loguniform: [0.01, 1.0]}\nheads: {choice: [1, 2]}\n"
    )

    def search(corpus, *arguments, **overrides):
        options = {
            "--space": "space.yaml",
            "--trials": 2,
            "--workers": 2,
            "--metric": "UA",
            "--folds": 0,
            "--output-folder": "results/search",
            "--ray-address": address,
            **dict(argument.split("=") for argument in arguments),
        }
        result = CliRunner().invoke(
            main,
            [
                "search",
                *arguments_of(
                    corpus,
                    "hparams/can.yaml",
                    *(f"{key}={value}" for key, value in options.items()),
                    **{"number_of_epochs": 1, **overrides},
                ),
            ],
        )
        assert isinstance(result.exception, (SystemExit, type(None)))
        return result.exit_code, result.output

    return search


def test_a_search(recipe, controlled_corpus, search):
    folder = recipe / "results" / "search"
    status, printed = search("nowhere")
    reason = "preparation of the corpus failed: .*nowhere"
    assert status == 1 and re.search(reason, printed), printed
    # the test set of fold 1 is the validation set of fold 0
    status, printed = search(controlled_corpus, "--folds=0,1")
    assert status == 1 and "folds that are not adjacent" in printed
    # the refused call has not started a search
    status, printed = search(controlled_corpus)
    assert status == 0, printed
    best = folder / "best.yaml"
    assert str(best) in printed
    text = best.read_text()
    assert "2 trials" in text and "validation UA" in text
    settings = read_settings(best).plain()
    # best.yaml contains the overrides and has its own output folder
    assert settings["data_folder"] == str(controlled_corpus)
    assert settings["preparation"]["protocol"] == "leave_one_session_out"
    assert settings["output_folder"] == "results/best/1234"
    # the test set of fold 1 is the validation set of fold 0
    assert settings["chosen_on_folds"] == [1] and settings["fold"] == [0]
    assert read_settings(best, {"fold": "all"}).asked_folds(5) == [0, 2, 3, 4]
    with pytest.raises(SettingsError, match="fold 1 cannot be reported"):
        read_settings(best, {"fold": 1}).asked_folds(5)
    assert 0.01 <= settings["align_weight"] <= 1 and settings["heads"] in (1, 2)
    # the best trial has the highest validation score
    found = [
        json.loads(path.read_text())
        for path in folder.glob("trials/*/fold_0/result.json")
    ]
    assert len(found) == 2
    best_value = max(result["valid"]["UA"] for result in found)
    assert f"{best_value:.3f}" in text
    lines = (folder / "trials.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("UA,align_weight,heads")
    # with more trials, the same search continues
    status, printed = search(controlled_corpus, "--trials=3")
    assert status == 0, printed
    assert len(list(folder.glob("trials/*/fold_0/result.json"))) == 3

    # a different system, metric or set of folds is a different search
    for changes in (
        {"arguments": ["--metric=WA"]},
        {"arguments": ["--folds=2"]},
        {"number_of_epochs": 2},
    ):
        status, printed = search(
            controlled_corpus, *changes.pop("arguments", []), **changes
        )
        assert status == 1 and "belongs to a different search" in printed


def test_folds_used_for_selection_are_not_reported(
    recipe, controlled_corpus, tmp_path
):
    run(tmp_path, *on(controlled_corpus), "--fold=none")
    base = plan_run(
        recipe / "hparams" / "can.yaml",
        1,
        tmp_path / "run",
        tmp_path / "prepared",
        on(controlled_corpus),
    )
    assert spoiled_folds(base, [0]) == [1]
    assert spoiled_folds(base, [0, 2]) == [1, 3]
    with pytest.raises(SettingsError, match="test set of fold 1 overlaps"):
        spoiled_folds(base, [0, 1])


@pytest.mark.parametrize(
    "space, reason",
    [
        ("aling_weight: {uniform: [0, 1]}", "Did you mean align_weight"),
        ("align_weight: {normal: [0, 1]}", "normal. Choose one of choice,"),
        ("align_weight: [0, 1]", "as align_weight: {uniform: [0, 1]}"),
        ("", "the search space is empty"),
        ("- lr", "the search space is empty"),
        ("lr: {uniform: 1}", "lr: pass a list of values to choice"),
        ("lr: {uniform: [1, 0]}", "an upper bound to uniform"),
    ],
)
def test_invalid_search_spaces(tmp_path, space, reason):
    path = tmp_path / "space.yaml"
    path.write_text(space)
    can = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    result = CliRunner().invoke(
        main,
        ["search", str(can), f"--space={path}", f"--output-folder={tmp_path}"],
    )
    assert result.exit_code != 0
    assert reason in " ".join(result.output.split())


def test_trials_share_the_threads_of_a_machine():
    assert RayOptions(2).threads == max(1, torch.get_num_threads() // 2)
    assert RayOptions(2, "auto").threads == 1


def test_ray_address_requires_ray():
    can = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    result = CliRunner().invoke(
        main, ["compare", str(can), "--ray-address=auto"]
    )
    assert "--ray-address requires --engine=ray" in result.output
