import csv
import json

import pytest

from speechbrain_can.io.files import InputError
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import write_predictions
from speechbrain_can.runs.results import check_same_manifest, finished_folds
from speechbrain_can.runs.summary import format_table, summarize

DESCRIPTION = {
    "model": "can",
    "corpus": "EmoDB",
    "protocol": "leave_one_speaker_out",
    "classes": ["ang", "sad"],
}


def test_predictions(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(
        path,
        ["b", "a"],
        ["sad", "ang"],
        ["sad", "sad"],
        [[0.25, 0.75], [0.4, 0.6]],
        ["ang", "sad"],
    )
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [
        {
            "ID": "a",
            "true": "ang",
            "predicted": "sad",
            "ang": "0.400000",
            "sad": "0.600000",
        },
        {
            "ID": "b",
            "true": "sad",
            "predicted": "sad",
            "ang": "0.250000",
            "sad": "0.750000",
        },
    ]


def write_fold(folder, fold, wa, ua):
    path = folder / f"fold_{fold}" / "result.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps(
            {
                "fold": fold,
                "WA": wa,
                "UA": ua,
                "macro-F1": ua,
                "n_test": 10,
                "n_train": 80,
                "manifest": "abc",
                "tables": {},
                "epochs": 5,
            }
        )
    )


def test_summary_over_folds(tmp_path):
    for fold, wa in ((10, 0.7), (0, 0.5), (2, 0.6)):
        write_fold(tmp_path, fold, wa, wa / 2)
    (tmp_path / "fold_3").mkdir()  # started, not finished
    summary = summarize(RunLayout(tmp_path), DESCRIPTION)
    assert [fold["fold"] for fold in finished_folds(RunLayout(tmp_path))] == [
        0,
        2,
        10,
    ]
    assert summary["WA"]["mean"] == pytest.approx(0.6)
    assert summary["WA"]["std"] == pytest.approx(0.1)
    assert summary["UA"]["mean"] == pytest.approx(0.3)
    table = format_table(summary, RunLayout(tmp_path))
    assert "can on EmoDB, leave_one_speaker_out, 2 classes" in table
    assert "WA 0.600 +- 0.100" in table
    assert [line.split()[0] for line in table.splitlines()[2:5]] == [
        "0",
        "2",
        "10",
    ]


def test_one_fold_has_no_deviation(tmp_path):
    write_fold(tmp_path, 1, 0.5, 0.4)
    summary = summarize(RunLayout(tmp_path), DESCRIPTION)
    assert summary["WA"] == {"mean": 0.5, "std": None}
    assert format_table(summary, RunLayout(tmp_path)).endswith(
        "WA 0.500\nUA 0.400\nmacro-F1 0.400"
    )


def test_a_result_of_another_version_is_named(tmp_path):
    path = tmp_path / "fold_0" / "result.json"
    path.parent.mkdir()
    path.write_text('{"fold": 0, "WA": 0.5, "UA": 0.4}')
    with pytest.raises(InputError, match="fold_0/result.json lacks macro-F1"):
        finished_folds(RunLayout(tmp_path))


def test_folds_of_a_different_manifest_are_named(tmp_path):
    for fold in (0, 2):
        write_fold(tmp_path, fold, 0.5, 0.4)
    results = finished_folds(RunLayout(tmp_path))
    check_same_manifest(results, "abc")
    with pytest.raises(
        InputError, match=r"folds 0, 2 were trained on a different"
    ):
        check_same_manifest(results, "abd")
