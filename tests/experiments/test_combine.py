"""Averaged predictions of runs."""

import pandas as pd
import pytest
from click.testing import CliRunner

from speechbrain_can.__main__ import main
from speechbrain_can.io.files import read_json
from speechbrain_can.metrics.metrics import evaluate
from speechbrain_can.runs.layout import FoldLayout, RunLayout
from speechbrain_can.runs.predictions import read_predictions, write_predictions
from speechbrain_can.runs.results import write_result, write_summary

CLASSES = ["ang", "sad"]
TRUE = ["ang", "sad", "sad"]


def write_run(folder, probabilities, manifest="x"):
    fold = folder / "fold_0"
    fold.mkdir(parents=True)
    predicted = [CLASSES[int(b > a)] for a, b in probabilities]
    for name in ("predictions.csv", "valid_predictions.csv"):
        write_predictions(
            fold / name,
            *(["u1", "u2", "u3"], TRUE, predicted),
            pd.DataFrame(probabilities).to_numpy(),
            CLASSES,
        )
    result = {"fold": 0, "n_test": 3, "n_train": 9, "manifest": manifest}
    result.update({**evaluate(TRUE, predicted), "epochs": 2})
    write_result(FoldLayout(fold), result)
    description = {"corpus": "c", "protocol": "p", "classes": CLASSES}
    write_summary(RunLayout(folder), {"model": "can", **description})
    return str(folder)


def test_probabilities_are_averaged(tmp_path):
    first = write_run(tmp_path / "1", [(0.9, 0.1), (0.6, 0.4), (0.3, 0.7)])
    second = write_run(tmp_path / "2", [(0.2, 0.8), (0.1, 0.9), (0.6, 0.4)])
    output = tmp_path / "mean"
    result = CliRunner().invoke(
        main, ["combine", first, second, "--output", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert "mean of 2 runs on c, p, 2 classes" in result.output
    table = read_predictions(output / "fold_0" / "predictions.csv")
    assert table["ang"].tolist() == pytest.approx([0.55, 0.35, 0.45])
    assert table["predicted"].tolist() == ["ang", "sad", "sad"]
    found = read_json(output / "fold_0" / "result.json")
    assert found["WA"] == found["valid"]["WA"] == 1.0
    assert found["epochs"] == 4 and found["ECE"] == pytest.approx(
        0.4167, abs=0.01
    )
    assert read_json(output / "results.json")["WA"]["mean"] == 1.0


@pytest.mark.parametrize(
    "name",
    [
        "results.json",
        "fold_0/predictions.csv",
        "fold_0/valid_predictions.csv",
    ],
)
def test_modified_results_are_not_averaged(tmp_path, name):
    values = [(0.9, 0.1), (0.6, 0.4), (0.3, 0.7)]
    runs = [write_run(tmp_path / number, values) for number in "12"]
    path = tmp_path / "1" / name
    path.write_text(path.read_text().replace("ang", "sad", 1))
    result = CliRunner().invoke(
        main, ["combine", *runs, "--output", str(tmp_path / "mean")]
    )
    assert result.exit_code == 1 and "Delete" in result.output
    assert path.name in result.output


def test_only_matching_runs_are_averaged(tmp_path):
    values = [(0.9, 0.1), (0.6, 0.4), (0.3, 0.7)]
    first = write_run(tmp_path / "1", values)
    other = write_run(tmp_path / "2", values, manifest="y")
    more = write_run(tmp_path / "3", values)
    (tmp_path / "3" / "fold_0").rename(tmp_path / "3" / "fold_7")
    path = tmp_path / "3" / "fold_7" / "result.json"
    result = {**read_json(path), "fold": 7}
    result.pop("sum"), path.unlink()
    write_result(RunLayout(tmp_path / "3").fold(7), result)
    for runs, message in (
        ([first], "at least two different runs"),
        ([first, other], "their folds 0 use different preparations"),
        ([first, more], "the runs have no finished fold in common"),
    ):
        result = CliRunner().invoke(
            main, ["combine", *runs, "--output", str(tmp_path / "mean")]
        )
        assert result.exit_code == 1 and message in " ".join(
            result.output.split()
        )


def test_folds_that_some_run_lacks_are_left_out(tmp_path, caplog):
    values = [(0.9, 0.1), (0.6, 0.4), (0.3, 0.7)]
    runs = [write_run(tmp_path / number, values) for number in "12"]
    more = write_run(tmp_path / "3", values)
    fold = RunLayout(tmp_path / "1").fold(7)
    (tmp_path / "3" / "fold_0").rename(fold.folder)
    result = {**read_json(fold.result), "fold": 7}
    result.pop("sum"), fold.result.unlink()
    write_result(fold, result)
    assert more
    output = tmp_path / "mean"
    result = CliRunner().invoke(
        main, ["combine", *runs, "--output", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert f"Folds 7 of {tmp_path / '1'} are left out" in caplog.text
    assert [fold.folder.name for fold in RunLayout(output).folds()] == [
        "fold_0"
    ]
