"""Training, prediction and reports of emotional dimensions."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.corpora import utterance
from helpers.recipes import on, run

from speechbrain_can.__main__ import main
from speechbrain_can.corpus.dimensions import check_labels, read_dimensions
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.metrics.dimensions import evaluate_dimensions

NAMES = ["valence", "arousal", "dominance"]


@pytest.fixture(scope="module")
def runs(controlled_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dimensions")
    for seed in (1, 2):
        printed = run(
            folder / "can_dimensions" / str(seed),
            *on(controlled_corpus),
            *("--fold=1", f"--seed={seed}"),
            recipe="IEMOCAP",
            model="can_dimensions",
        )
        assert "arousal: CCC" in printed
    return folder / "can_dimensions"


def test_result_and_table_agree(runs):
    fold = runs / "1" / "fold_1"
    table = pd.read_csv(fold / "dimensions.csv")
    result = json.loads((fold / "result.json").read_text())
    values = table[[f"predicted {name}" for name in NAMES]].to_numpy()
    found = evaluate_dimensions(values, table[NAMES].to_numpy(), NAMES)
    assert found["CCC"] == pytest.approx(result["dimensions"]["CCC"], abs=1e-4)
    manifest = read_manifest(runs / "1" / "prepared" / "manifest.csv")
    for row in table.itertuples():
        assert float(manifest[row.ID].extra["arousal"]) == pytest.approx(
            row.arousal, abs=1e-5
        )
    assert "valid CCC" in (fold / "train_log.txt").read_text()


def test_model_predicts_the_same(runs, controlled_corpus):
    fold = runs / "1" / "fold_1"
    recognizer = EmotionRecognizer.from_hparams(fold / "model")
    assert recognizer.dimensions == NAMES
    manifest = read_manifest(runs / "1" / "prepared" / "manifest.csv")
    for row in pd.read_csv(fold / "dimensions.csv").to_dict("records")[:3]:
        own = manifest[row["ID"]]
        wav = resolve_wav(own, controlled_corpus)
        prediction = recognizer.classify_file(wav, alignment=own.words)
        for name in NAMES:
            assert prediction.dimensions[name] == pytest.approx(
                row[f"predicted {name}"], abs=1e-3
            )


def test_ensembles_average_dimensions(runs, tmp_path):
    output = tmp_path / "mean"
    arguments = ["combine", *map(str, sorted(runs.iterdir()))]
    found = CliRunner().invoke(main, [*arguments, f"--output={output}"])
    assert found.exit_code == 0, found.output
    mean, *own = (
        pd.read_csv(folder / "fold_1" / "dimensions.csv")
        for folder in (output, runs / "1", runs / "2")
    )
    column = "predicted valence"
    assert np.allclose(
        mean[column], (own[0][column] + own[1][column]) / 2, atol=1e-5
    )
    result = json.loads((output / "fold_1" / "result.json").read_text())
    assert result["dimensions"]["valence"]["n"] == len(mean)
    recognizer = EmotionRecognizer.from_hparams(output / "fold_1" / "model")
    assert recognizer.dimensions == NAMES


def test_report_contains_dimensions(runs, tmp_path):
    page = tmp_path / "report.html"
    found = CliRunner().invoke(main, ["report", str(runs), f"--html={page}"])
    assert found.exit_code == 0, found.output
    text = page.read_text(encoding="utf-8")
    assert 'id="dimensions"' in text and "<td>dominance</td>" in text


def rated(**extra):
    return replace(utterance(), extra=extra)


@pytest.mark.parametrize(
    "value, limits, expected",
    [
        ("9", (1, 5), "a: arousal is '9'. It must be from 1 to 5"),
        ("high", None, "arousal is 'high'. It must be a number"),
        ("inf", None, "arousal is 'inf'"),
        ("", None, "no utterance has a label for arousal"),
    ],
)
def test_invalid_labels_are_refused(value, limits, expected):
    with pytest.raises(CorpusError, match=expected):
        read_dimensions({"a": rated(arousal=value)}, ["arousal"], limits)


def test_missing_labels_and_columns(caplog):
    rows = {"a": rated(arousal="2.5"), "b": rated(arousal="nan")}
    labels = read_dimensions(rows, ["arousal"])
    assert labels["a"][0] == 2.5 and np.isnan(labels["b"][0])
    with pytest.raises(CorpusError, match="no column valence"):
        read_dimensions(rows, ["valence"])
    constant = np.array([[2.0], [np.nan], [2.0]])
    with pytest.raises(CorpusError, match="arousal is 2 for all training"):
        check_labels(constant, ["arousal"], "training")
    with pytest.raises(CorpusError, match="no training utterance"):
        check_labels(constant[1:2], ["arousal"], "training")


def test_stop_on_needs_dimensions(controlled_corpus, tmp_path):
    printed = run(
        tmp_path / "run", *on(controlled_corpus), "--stop_on=CCC", fails=True
    )
    assert "invalid value stop_on='CCC'" in printed
