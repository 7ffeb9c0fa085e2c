"""Comparisons on a corpus of forty synthesized utterances."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.recipes import RECIPES, ROOT, SMALL, copy_recipe

from speechbrain_can.__main__ import main
from speechbrain_can.commands.compare import split_arguments
from speechbrain_can.experiments.compare import check_runs, plan_runs
from speechbrain_can.settings.hparams import SettingsError, write_settings

CAN = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Copy the recipe and add two systems, one of which cannot train."""
    folder = copy_recipe(tmp_path_factory.mktemp("recipe"))
    own = folder / "hparams" / "own" / "wide.yaml"
    own.parent.mkdir()
    own.write_text("base: ../can.yaml\nhidden_size: 12\n")
    (folder / "hparams" / "broken.yaml").write_text("base: can.yaml\nlr: -1\n")
    return folder


def arguments_of(corpus, *arguments):
    """Return the arguments of ``compare`` for small models."""
    small = {**SMALL, "--number_of_epochs": "1"}
    del small["--hidden_size"]  # one of the systems sets it
    options = {
        **small,
        "--data_folder": corpus,
        "--protocol": "leave_one_session_out",
    }
    for argument in arguments:
        if "=" in argument:
            options.update([argument.split("=")])
    systems = [name for name in arguments if "=" not in name]
    return [
        "compare",
        *(f"hparams/{name}.yaml" for name in systems),
        *(f"{key}={value}" for key, value in options.items()),
    ]


def start(recipe, corpus, *arguments):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "speechbrain_can"),
            *map(str, arguments_of(corpus, *arguments)),
        ],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def compare(recipe, monkeypatch):
    """Run ``compare`` in this process; return exit status, output and errors."""
    monkeypatch.chdir(recipe)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def compare(*arguments):
        arguments = map(str, arguments_of(*arguments))
        result = CliRunner().invoke(main, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    before = signal.getsignal(signal.SIGTERM)
    yield compare
    signal.signal(signal.SIGTERM, before)


def test_an_hparams_file_outside_of_a_recipe(tmp_path):
    shutil.copy(CAN, tmp_path / "can.yaml")
    runs = plan_runs([tmp_path / "can.yaml"], [1], tmp_path / "results", [])
    with pytest.raises(
        SettingsError, match="can.yaml does not belong to a recipe"
    ):
        check_runs(runs, tmp_path / "results")


def test_a_comparison(recipe, controlled_corpus, compare):
    systems = ("own/wide", "can", "broken")
    arguments = (controlled_corpus, *systems, "--fold=0", "--workers=2")
    status, out, err = compare(*arguments)
    # failed systems are reported and do not stop the others
    assert status == 1
    assert (
        "broken, seed 1234 failed: SettingsError: invalid value lr" in err + out
    )
    folder = recipe / "results" / "comparison"
    results = {
        system: json.loads(
            (folder / system / "1234" / "fold_0" / "result.json").read_text()
        )
        for system in ("wide", "can")
    }
    table = pd.read_csv(folder / "comparison.csv", index_col="hparams")
    assert table.index.tolist() == ["can.yaml", "wide.yaml"]
    for system, result in results.items():
        assert f"{system}, seed 1234, fold 0: WA {result['WA']:.3f}" in out
        row = table.loc[f"{system}.yaml"]
        assert row["UA mean"] == pytest.approx(result["UA"], abs=1e-6)
    assert table.loc["wide.yaml", "WA difference"] == pytest.approx(
        results["wide"]["WA"] - results["can"]["WA"], abs=2e-6
    )
    assert out.startswith("wide, seed") or out.startswith("can, seed")
    assert (folder / "comparison.md").read_text("utf-8") in out
    assert "Other systems" in out and "paper's" not in out
    # one prepared corpus and one set of features for both
    assert not list(folder.glob("*/*/prepared"))
    assert len(list(recipe.glob("results/features/*/index.npz"))) == 1

    # finished folds are skipped; another fold is added
    times = {
        path: path.stat().st_mtime_ns for path in folder.glob("*/*/fold_0/*")
    }
    status, out, err = compare(
        *(controlled_corpus, "own/wide", "can", "--fold=1", "--workers=2")
    )
    assert status == 0
    assert "wide, seed 1234, fold 1" in out and "fold 0" not in out
    assert all(path.stat().st_mtime_ns == t for path, t in times.items())
    table = pd.read_csv(folder / "comparison.csv", index_col="hparams")
    assert table["folds"].tolist() == [2, 2]
    low, difference, high = table.loc[
        "wide.yaml", ["WA low", "WA difference", "WA high"]
    ]
    assert low <= difference <= high


def test_sigterm_ends_runs_and_prints_tables(recipe, controlled_corpus):
    folder = recipe / "results" / "ended"
    process = start(
        *(recipe, controlled_corpus, "can", "no_align_loss", "--workers=2"),
        *(f"--output-folder={folder}", "--number_of_epochs=1000"),
        "--patience=1000",
    )
    logs = [
        folder / system / "1234" / "fold_0" / "train_log.txt"
        for system in ("can", "no_align_loss")
    ]
    deadline = time.monotonic() + 300
    try:
        while not all(log.exists() for log in logs):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 143
    assert "/10 " in err, "two systems of five folds"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not (folder / "comparison.md").exists()


def test_changed_aligner_cannot_be_compared(tmp_path):
    """The class of the aligner is a YAML tag, not a key."""
    can = (
        ROOT
        / "recipes/CustomCorpus/multimodal_emotion_recognition/hparams/can.yaml"
    )
    other = can.with_name("equal_aligner.yaml")
    text = can.read_text().replace(
        "sphinx.PocketsphinxAligner {}", "equal.EqualSegments {}"
    )
    # next to the files of the recipe, because it must belong to it
    try:
        other.write_text(text)
        runs = plan_runs([can, other], [1], tmp_path, ["--data_folder=x"])
        with pytest.raises(SettingsError, match="aligner is .*EqualSegments"):
            check_runs(runs, tmp_path)
    finally:
        other.unlink()


def test_changed_settings_are_refused_before_training(tmp_path):
    output = tmp_path / "results"

    def check(*arguments, files=(CAN,)):
        runs = plan_runs(
            files, [1, 2], output, ["--data_folder=x", "--fold=0", *arguments]
        )
        check_runs(runs, output)
        return [run.folder.relative_to(output).as_posix() for run in runs]

    assert check("--lr=0.3") == ["can/1", "can/2"]
    # an output folder is bound when training starts
    check("--lr=0.1")
    begun = plan_runs(
        [CAN], [2], output, ["--data_folder=x", "--fold=0", "--lr=0.1"]
    )[0]
    write_settings(begun.folder, begun.settings)
    check("--lr=0.2")
    write_settings(begun.folder / "fold_0", begun.settings)
    check("--lr=0.1", "--device=cpu")
    with pytest.raises(SettingsError, match="started with different settings"):
        check("--lr=0.2")
    other = tmp_path / "hparams" / "speakers.yaml"
    other.parent.mkdir()
    shutil.copy(CAN, other.parent)
    (tmp_path / "train.py").touch()
    other.write_text("base: can.yaml\nprotocol: leave_one_speaker_out\n")
    with pytest.raises(
        SettingsError, match="protocol is leave_one_speaker_out in .*can"
    ):
        check("--lr=0.1", files=(CAN, other))
    # also if the other one was run earlier
    with pytest.raises(SettingsError, match="random10 in .*speakers.yaml"):
        check("--lr=0.1", files=(other,))
    check("--lr=0.1", "--protocol=random10", files=(CAN, other))
    with pytest.raises(SettingsError, match="can with seed 1 occurs twice"):
        check(files=(CAN, CAN))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere.yaml"], "nowhere.yaml is not an hparams file"),
        (
            ["--data_folder", "corpus", str(CAN)],
            "Write overrides as --KEY=VALUE",
        ),
        ([str(CAN), "--seed=3"], "Use --seeds"),
        ([], "Pass an hparams file"),
        ([str(CAN), "--seeds=a"], "'a' is not whole numbers"),
        ([str(CAN), "--workers=0"], "0 is not in the range"),
        ([str(CAN), "--overlop=3"], "Did you mean overlap"),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path):
    with_folder = ["compare", f"--output-folder={tmp_path}", *arguments]
    found = CliRunner().invoke(main, with_folder)
    assert found.exit_code in (1, 2) and message in found.output


def test_seeds_and_overrides():
    files, others = split_arguments([str(CAN), "--fold=0", "--device=cpu"])
    assert files == [CAN] and others == ["--fold=0", "--device=cpu"]
    runs = plan_runs(files, [1, 2], "results", [*others, "--data_folder=x"])
    assert [run.settings.plain()["seed"] for run in runs] == [1, 2]
    assert {run.settings.fold for run in runs} == {0}
    # run options are not settings
    assert "--device=cpu" in runs[0].command()
