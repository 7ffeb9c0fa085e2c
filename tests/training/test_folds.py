"""Recipes on a corpus of forty synthesized utterances."""

import itertools
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pandas as pd
import pytest
from filelock import FileLock
from helpers.recipes import (
    RECIPES,
    ROOT,
    SYSTEMS,
    command,
    on,
    read_predictions,
    run,
)
from helpers.training import assert_trained_once, logged

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.model_folder import write
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.results import write_result
from speechbrain_can.settings.hparams import SettingsError, read_settings
from speechbrain_can.settings.run_options import check_run_options, lstm_runs_in
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.conformal import calibrate_models

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def finished(controlled_corpus, tmp_path_factory):
    """Return a finished run of all five folds and its output."""
    folder = tmp_path_factory.mktemp("run") / "results"
    return folder, run(folder, *on(controlled_corpus), "--draw_attention=True")


def test_results(finished):
    folder, printed = finished
    results = json.loads((folder / "results.json").read_text())
    assert results["model"] == "can"
    assert results["corpus"] == "controlled corpus (IEMOCAP layout)"
    assert results["protocol"] == "leave_one_session_out"
    assert results["classes"] == "ang exc hap sad fru sur neu".split()
    assert [fold["fold"] for fold in results["folds"]] == [0, 1, 2, 3, 4]
    assert sum(fold["n_test"] for fold in results["folds"]) == 40
    assert set(results["WA"]) == {"mean", "std"}
    assert f"WA {results['WA']['mean']:.3f}" in printed
    # the leakage report, once
    (leaks,) = [x for x in printed.splitlines() if x.startswith("speaker ")]
    assert leaks.split()[1:] == ["0.0%", "0.0%", "0.0%"]


def test_predictions_add_up_to_the_results(finished):
    folder, _ = finished
    results = json.loads((folder / "results.json").read_text())
    for fold in results["folds"]:
        rows = read_predictions(folder, fold["fold"])
        assert len(rows) == fold["n_test"]
        correct = [row["true"] == row["predicted"] for row in rows]
        assert sum(correct) / len(rows) == pytest.approx(fold["WA"])
        for row in rows:
            probabilities = {c: float(row[c]) for c in results["classes"]}
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert max(probabilities, key=probabilities.get) == row["predicted"]


def test_models_have_the_scores_of_other_folds(finished):
    folder, _ = finished
    run_layout = RunLayout(folder)
    own = {}
    for layout in run_layout.folds():
        result = read_json(layout.result)
        table = pd.read_csv(layout.predictions, dtype={"ID": str})
        own[result["fold"]] = len(table)
    total = sum(own.values())
    for number, count in own.items():
        model = run_layout.fold(number).model
        recognizer = EmotionRecognizer.from_hparams(model)
        scores = recognizer.statistics.conformal
        assert sum(map(len, scores.values())) == total - count
        assert recognizer.statistics.ranges
    before = {p: p.stat().st_mtime_ns for p in folder.glob("fold_*/model/*")}
    calibrate_models(run_layout)  # changes nothing
    after = {p: p.stat().st_mtime_ns for p in folder.glob("fold_*/model/*")}
    assert before == after


def test_interrupted_changes_of_statistics(finished, tmp_path, monkeypatch):
    model = tmp_path / "model"
    shutil.copytree(RunLayout(finished[0]).fold(0).model, model)
    statistics = EmotionRecognizer.from_hparams(model).statistics
    changed = statistics.model_copy(update={"ranges": {}})
    calls = []
    original = write.update_checksums

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(write, "update_checksums", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write.replace_statistics(model, changed)
    assert EmotionRecognizer.from_hparams(model).statistics.ranges == {}
    monkeypatch.undo()
    write.replace_statistics(model, statistics)
    (model / "statistics.json").unlink()
    with pytest.raises(InputError, match="statistics.json is missing"):
        EmotionRecognizer.from_hparams(model)


def test_each_loss_is_logged(finished):
    folder, _ = finished
    lines = (folder / "fold_0" / "train_log.txt").read_text().splitlines()
    for part in ("train", "valid"):
        for name in ("loss", "joint", "text", "audio"):
            assert f"{part} {name}: " in lines[0]
    assert "valid WA: " in lines[0] and "test UA: " in lines[-1]


def test_features_are_computed_once(finished):
    folder, _ = finished
    assert len(list((folder / "features").glob("*/index.npz"))) == 1


def test_figure_per_fold(finished):
    folder, printed = finished
    for fold in range(5):
        path = folder / f"fold_{fold}" / "attention.png"
        assert path.stat().st_size > 10_000
    assert printed.splitlines()[-1].endswith(str(path))


def test_finished_run_only_prints_the_table(finished, controlled_corpus):
    folder, printed = finished

    def times():
        return {
            path: path.stat().st_mtime_ns
            for path in folder.rglob("fold_*/**/*")
        }

    before = times()
    again = run(folder, *on(controlled_corpus), "--draw_attention=True")
    assert times() == before
    table = printed[printed.index("can on controlled corpus") :]
    assert again.endswith(table)
    assert "epoch" not in again.replace("epochs", "")


def test_changed_settings_are_refused(finished, controlled_corpus):
    folder, _ = finished
    manifest = (folder / "prepared" / "manifest.csv").read_text()
    for fold in ("--fold=0", "--fold=7", "--fold=all"):
        printed = run(
            folder,
            *on(controlled_corpus),
            "--lr=0.01",
            "--classes=4",
            fold,
            fails=True,
        )
        assert f"{folder} was started with different settings" in printed
        assert "+ lr: 0.01" in printed and "+ classes: 4" in printed
    assert (folder / "prepared" / "manifest.csv").read_text() == manifest


def test_single_fold_equals_fold_of_full_run(
    finished, controlled_corpus, tmp_path
):
    folder, _ = finished
    printed = run(tmp_path / "alone", *on(controlled_corpus), "--fold=2")
    assert not (tmp_path / "alone" / "fold_0").exists()
    assert "WA" in printed
    assert read_predictions(tmp_path / "alone", 2) == read_predictions(
        folder, 2
    )


def test_killed_runs_resume_to_the_same_result(controlled_corpus, tmp_path):
    arguments = [*on(controlled_corpus), "--fold=1"]
    arguments += ["--number_of_epochs=20", "--patience=20"]
    whole = tmp_path / "whole"
    run(whole, *arguments)
    # on a busy machine a run may end before it is killed
    for attempt in range(5):
        folder = tmp_path / f"killed_{attempt}"
        log = folder / "fold_1" / "train_log.txt"
        process = subprocess.Popen(
            **command(folder, *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 120
            while not (log.exists() and "epoch: 1" in log.read_text()):
                assert time.monotonic() < deadline
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
        if not (folder / "fold_1" / "result.json").exists():
            break
    assert not (folder / "fold_1" / "result.json").exists()
    run(folder, *arguments)
    details = (folder / "log.txt").read_text()
    resumed = details.rpartition("Beginning experiment!")[2]
    assert "Loading a checkpoint from" in resumed.split("Going into epoch")[0]
    assert "Going into epoch 1\n" not in resumed
    assert_trained_once(log, 20)
    assert read_predictions(folder, 1) == read_predictions(whole, 1)
    results = json.loads((folder / "results.json").read_text())
    assert results["folds"][0]["epochs"] == 20


def test_failed_runs_do_not_bind_the_output_folder(controlled_corpus, tmp_path):
    arguments = ["--protocol=leave_one_session_out", "--fold=0"]
    printed = run(tmp_path, "--data_folder=/nowhere", *arguments, fails=True)
    assert "data_folder /nowhere does not exist" in printed.splitlines()[-1]
    assert not (tmp_path / "results.json").exists()
    run(tmp_path, f"--data_folder={controlled_corpus}", *arguments)
    settings = read_settings(tmp_path / "hyperparams.yaml").plain()
    assert settings["data_folder"] == str(controlled_corpus)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [fold["fold"] for fold in results["folds"]] == [0]


def test_results_of_different_preparations_are_not_averaged(
    controlled_corpus, tmp_path
):
    arguments = [*on(controlled_corpus), "--number_of_epochs=1"]
    run(tmp_path, *arguments, "--fold=0")
    fold = RunLayout(tmp_path).fold(0)
    result = json.loads(fold.result.read_text())
    write_result(fold, {**result, "manifest": "another"})
    printed = run(tmp_path, *arguments, "--fold=1", fails=True)
    assert (
        "folds 0 were trained on a different preparation"
        in printed.splitlines()[-1]
    )


def test_run_options_of_speechbrain(controlled_corpus, tmp_path):
    """Checkpoints within an epoch, and testing only."""
    arguments = [*on(controlled_corpus), "--fold=0"]
    printed = run(tmp_path, *arguments, "--test_only", fails=True)
    assert "Train first" in printed.splitlines()[-1]
    # a second process is refused
    with FileLock(tmp_path / "fold_0" / "train.lock"):
        printed = run(tmp_path, *arguments, fails=True)
        assert "another process is training in" in printed.splitlines()[-1]
    run(tmp_path, *arguments, "--ckpt_interval_steps=1")
    predictions = read_predictions(tmp_path, 0)
    (tmp_path / "fold_0" / "result.json").unlink()
    printed = run(tmp_path, *arguments, "--test_only")
    assert "train loss" not in printed
    assert read_predictions(tmp_path, 0) == predictions
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["folds"][0]["epochs"] == 3


def test_early_stopping(controlled_corpus, tmp_path):
    printed = run(
        tmp_path,
        *on(controlled_corpus),
        "--fold=0",
        "--number_of_epochs=50",
        "--patience=2",
        "--lr=1e-30",
    )
    # with a learning rate of 0, nothing improves after the first epoch
    assert "Patience of 2 is exhausted" in (tmp_path / "log.txt").read_text()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["folds"][0]["epochs"] == 3
    assert "epoch loaded: 1 " in printed


def test_early_stopping_metric_selects_checkpoint(controlled_corpus, tmp_path):
    """Its best epoch is tested, regardless of the other metrics."""
    for metric in METRICS:
        folder = tmp_path / metric
        run(
            folder,
            *on(controlled_corpus),
            *("--fold=0", "--number_of_epochs=6", "--lr=0.02"),
            *(f"--stop_on={metric}", "--use_tensorboard=True"),
        )
        lines = (folder / "fold_0" / "train_log.txt").read_text().splitlines()
        reached = logged(folder, metric, "valid")
        best = 1 + reached.index(max(reached))
        assert lines[-1].startswith(f"epoch loaded: {best} ")
    printed = run(
        tmp_path / "none",
        *on(controlled_corpus),
        "--stop_on=F2",
        fails=True,
    )
    assert "stop_on='F2'. Choose one of WA, UA, macro-F1" in printed


def test_progress_without_a_terminal(finished):
    """Details are in log.txt; progress bars need a terminal."""
    folder, printed = finished
    lines = printed.splitlines()
    assert sum("train loss" in line for line in lines) == 3 * 5
    assert not [line for line in lines if "heckpoint" in line or "it/s" in line]
    # per fold: its number, the sets, three epochs, the test
    assert len(lines) < 6 * 5 + 45
    assert "Going into epoch 3" in (folder / "log.txt").read_text()


def test_strict_refuses_before_training(controlled_corpus, tmp_path):
    printed = run(
        tmp_path,
        *on(controlled_corpus),
        "--protocol=random10",
        "--strict=[session, speaker]",
        fails=True,
    )
    assert "speaker: 100.0% of the test set of fold 0 is also in" in printed
    assert not list(tmp_path.glob("fold_*"))


def test_custom_protocol_next_to_recipe(
    controlled_corpus, tmp_path, monkeypatch
):
    (tmp_path / "thirds.py").write_text(
        "from speechbrain_can.corpus.fold_lists import FoldAssignment\n"
        "def by_length(utterances, seed):\n"
        "    classes = {}\n"
        "    for utterance in sorted(utterances.values(), key=lambda u: u.duration):\n"
        "        classes.setdefault(utterance.emotion, []).append(utterance)\n"
        "    return {utterance.utterance_id: FoldAssignment(i % 3, (i + 1) % 3)\n"
        "            for own in classes.values() for i, utterance in enumerate(own)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "results"
    run(
        folder,
        *on(controlled_corpus),
        "--protocol=thirds.by_length",
        "--fold=2",
        "--number_of_epochs=1",
    )
    result = json.loads((folder / "fold_2" / "result.json").read_text())
    labels = [
        turn["emo"]
        for turn in json.loads((controlled_corpus / "plan.json").read_text())
    ]
    thirds = [labels.count(label) // 3 for label in set(labels)]
    assert result["n_test"] == sum(thirds)
    assert (folder / "prepared" / "folds_thirds.by_length.csv").exists()
    leaks = folder / "prepared" / "leaks_thirds.by_length.json"
    assert {row["fold"] for row in json.loads(leaks.read_text())["leaks"]} == {
        0,
        1,
        2,
    }


def test_debugging_records_no_result(controlled_corpus, tmp_path):
    printed = run(tmp_path, *on(controlled_corpus), "--fold=0", "--debug")
    assert "the fold's result is not recorded" in printed
    assert not (tmp_path / "fold_0" / "result.json").exists()


LOGGERS = """
base: {recipe}/hparams/can.yaml
loggers:
    - !name:speechbrain.utils.train_logger.WandBLogger
        initializer: !name:wandb.init
        project: emotions
        mode: offline
        dir: !ref <output_folder>
    - !name:speechbrain_can.training.loggers.MLflowLogger
        experiment: emotions
        tracking_uri: !ref sqlite:///<output_folder>/mlflow.db
        run_name: !ref can, fold <fold>
"""


def test_other_loggers(controlled_corpus, tmp_path):
    recipe = RECIPES["IEMOCAP"]
    hparams = tmp_path / "my_can.yaml"
    hparams.write_text(LOGGERS.format(recipe=recipe))
    run(
        tmp_path / "run",
        *on(controlled_corpus),
        "--fold=0",
        model=os.path.relpath(hparams.with_suffix(""), recipe / "hparams"),
        python=["-X", "utf8"],  # W&B starts a service in its process
    )
    assert list((tmp_path / "run").glob("wandb/offline-run-*"))
    with closing(sqlite3.connect(tmp_path / "run" / "mlflow.db")) as database:
        (found,) = database.execute("select name, status from runs")
        logged = [key for (key,) in database.execute("select key from metrics")]
    assert found == ("can, fold 0", "FINISHED")
    log = (tmp_path / "run" / "fold_0" / "train_log.txt").read_text()
    assert logged.count("valid UA") == log.count("train loss") > 0
    assert logged.count("test WA") == 1


def test_tensorboard(controlled_corpus, tmp_path):
    run(tmp_path, *on(controlled_corpus), "--fold=0", "--use_tensorboard=True")
    (events,) = (tmp_path / "fold_0" / "tensorboard").iterdir()
    assert b"joint/train" in events.read_bytes()


@pytest.mark.parametrize("model", sorted(set(SYSTEMS) - {"can"}))
def test_every_system_of_the_paper_runs(model, controlled_corpus, tmp_path):
    run(
        tmp_path,
        *on(controlled_corpus),
        "--fold=0",
        "--number_of_epochs=1",
        "--draw_attention=True",
        model=model,
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["model"] == model and results["folds"][0]["n_test"] == 8
    # only attention over words is plotted
    drawn = (tmp_path / "fold_0" / "attention.png").exists()
    assert drawn is (
        model not in ("audio_model", "multi_hop", "learned_alignment")
    )
    hparams = (tmp_path / "hyperparams.yaml").read_text()
    assert "base:" not in hparams and "batch_size: 8" in hparams


def test_the_controlled_corpus_is_generated(tmp_path):
    run(
        tmp_path / "results",
        "--fold=0",
        "--classes=4",
        "--number_of_epochs=1",
        "--utterances=60",
        f"--data_folder={tmp_path / 'corpus'}",
        recipe="ControlledCorpus",
    )
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert results["corpus"] == "controlled corpus (IEMOCAP layout)"
    assert results["protocol"] == "random10"
    assert results["classes"] == ["ang", "hap", "sad", "neu"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data_folder=/nowhere"], "data_folder /nowhere does not exist"),
        (["--protocol=random5"], "unknown protocol 'random5'"),
        (["--overlop=0.2"], "unknown key overlop. Did you mean"),
        (["--fold=7"], "fold 7 does not exist"),
        (["--classes=5"], "classes is 5"),
        (["--glove_file=/no/glove"], "/no/glove"),
    ],
)
def test_invalid_arguments(controlled_corpus, tmp_path, arguments, message):
    printed = run(
        tmp_path, *on(controlled_corpus), "--fold=0", *arguments, fails=True
    )
    assert message in printed.splitlines()[-1], printed


def test_training_on_real_emodb(data, tmp_path):
    printed = run(
        tmp_path,
        f"--data_folder={data / 'emodb'}",
        "--fold=0",
        "--number_of_epochs=1",
        recipe="EmoDB",
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["corpus"] == "EmoDB" and len(results["classes"]) == 7
    assert results["folds"][0]["n_test"] == 49
    assert "42 with equal segments" in printed


def test_precision(controlled_corpus, tmp_path):
    """Results of other precisions are close, but not equal."""
    if not lstm_runs_in("bf16"):
        pytest.skip("LSTMs do not run in bfloat16 on this processor")
    probabilities = []
    for option in ("--precision=fp32", "--precision=bf16"):
        folder = tmp_path / option[-4:]
        arguments = [*on(controlled_corpus), "--fold=0", "--number_of_epochs=1"]
        run(folder, *arguments, option)
        rows = read_predictions(folder, 0)
        probabilities.append([float(row["ang"]) for row in rows])
    full, half = probabilities
    assert full == pytest.approx(half, abs=0.01)
    assert full != half


@pytest.mark.parametrize(
    "option, reason",
    [
        ("--compile", "fall back to eager mode"),
        ("--jit", "lists of words"),
        ("--data_parallel_backend", "one process per GPU"),
    ],
)
def test_run_options_that_are_refused(
    option, reason, controlled_corpus, tmp_path
):
    printed = run(tmp_path, *on(controlled_corpus), option, fails=True)
    assert f"{option} is not supported" in printed.splitlines()[-1]
    assert reason in printed.splitlines()[-1]


def test_a_precision_that_the_processor_lacks_is_refused():
    """An environment variable limits oneDNN to AVX2, which has no LSTM in bfloat16."""
    code = (
        "import speechbrain as sb\n"
        "from speechbrain_can.settings import run_options\n"
        "assert run_options.lstm_runs_in('fp32')\n"
        "print(run_options.lstm_runs_in('bf16'))\n"
        "hparams = {'stop_on': 'WA'}\n"
        "def check(argument, **more):\n"
        "    _, given, _ = sb.parse_arguments(['a.yaml', argument])\n"
        "    try:\n"
        "        run_options.check_run_options(given, {**hparams, **more})\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "check('--precision=bf16')\n"
        "check('--bfloat16_mix_prec')\n"
        "check('--noprogressbar', precision='bf16')\n"
        "check('--precision=fp32', precision='bf16')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            **{"PYTHONPATH": str(ROOT), "ONEDNN_MAX_CPU_ISA": "AVX2"},
        },
        capture_output=True,
        text=True,
    )
    if "True" in result.stdout:
        pytest.skip("the variable does not limit this processor")
    lines = result.stdout.splitlines()
    assert [line.split(" is not supported")[0] for line in lines[1:]] == [
        *["--precision", "--bfloat16_mix_prec", "--precision"]
    ], result.stdout + result.stderr
    assert "Omit --precision to use fp32" in lines[1]


@pytest.mark.parametrize("model", ["can", "can_small_data"])
def test_resume_within_an_epoch(
    model, controlled_corpus, tmp_path, monkeypatch
):
    """A run that ends within an epoch resumes like an undisturbed one.

    The second model augments the audio and mixes utterances.
    """
    arguments = [
        *on(controlled_corpus),
        *("--fold=0", "--number_of_epochs=2", "--batch_size=4"),
    ]
    run(tmp_path / "whole", *arguments, model=model)
    whole = tmp_path / "whole" / "fold_0"
    batches = math.ceil(read_json(whole / "result.json")["n_train"] / 4)
    save = EmotionBrain._save_intra_epoch_ckpt
    # within the first epoch, after its last batch, and within the second epoch
    for last in (3, batches, batches + 2) if model == "can" else (3,):
        output = tmp_path / f"stopped_{last}"
        saved = itertools.count(1)

        def stop(brain):
            save(brain)
            if next(saved) == last:
                raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(EmotionBrain, "_save_intra_epoch_ckpt", stop)
            printed = run(
                output,
                *(*arguments, "--ckpt_interval_steps=1"),
                fails=True,
                model=model,
            )
        assert "killed" in printed
        run(output, *arguments, "--ckpt_interval_steps=1", model=model)
        for name in ("predictions.csv", "train_log.txt", "result.json"):
            found = (output / "fold_0" / name).read_text()
            assert found == (whole / name).read_text(), (last, name)


@pytest.mark.parametrize(
    "options",
    [
        {"ckpt_interval_steps": 1},
        {"grad_accumulation_factor": 2, "ckpt_interval_steps": 3},
        {"grad_accumulation_factor": 2, "ckpt_interval_minutes": 1.0},
    ],
)
def test_inexact_checkpoints_are_refused(options, monkeypatch):
    if len(options) == 1:  # as torchrun does
        monkeypatch.setenv("WORLD_SIZE", "2")
    run_opts = RunOptions(device="cpu", **options, overridden_args=set(options))
    with pytest.raises(SettingsError, match="ckpt_interval_minutes is|are not"):
        check_run_options(run_opts, {"stop_on": "WA", "device": "cpu"})
