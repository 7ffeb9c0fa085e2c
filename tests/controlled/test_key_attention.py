import json
import math

import pytest
from click.testing import CliRunner
from helpers.corpora import utterance

from speechbrain_can.__main__ import main
from speechbrain_can.alignment.words import Word
from speechbrain_can.controlled.key_attention import (
    format_key_attention,
    key_attention,
)
from speechbrain_can.corpus.fold_lists import FoldAssignment, write_folds
from speechbrain_can.corpus.manifest import write_manifest
from speechbrain_can.corpus.prepared import folds_path, seal
from speechbrain_can.io.files import write_json
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.runs.layout import FoldLayout
from speechbrain_can.runs.predictions import (
    read_attention,
    write_attention,
    write_predictions,
)
from speechbrain_can.runs.results import write_result


def said(name, *words):
    n = len(words)
    return utterance(
        name, [Word(word, i / n, (i + 1) / n) for i, word in enumerate(words)]
    )


def turn(name, key, plan, *words):
    return {"utt": name, "key": key, "plan": plan, "words": list(words)}


UTTERANCES = {
    "a": said("a", "so", "awful"),
    "b": said("b", "all", "is", "terribly", "sad"),
    "c": said("c", "yes"),
    "d": said("d", "some", "other", "words"),
    "untested": said("untested", "not", "here"),
}
TURNS = [
    turn("a", 1, {"1": "sad"}, "so", "awful"),
    turn("b", 3, {"3": "sad", "0": "hap"}, "all", "is", "terribly", "sad"),
    turn("c", 0, {"0": "sad"}, "yes"),
    turn("d", 0, {"0": "sad"}, "the", "planned", "words"),
    turn("untested", 0, {"0": "sad"}, "not", "here"),
]
WEIGHTS = {"a": [0.2, 0.8], "b": [0.1, 0.2, 0.4, 0.3], "c": [1.0]}
WEIGHTS["d"] = [0.5, 0.3, 0.2]


def test_key_attention():
    table, others = key_attention(TURNS, UTTERANCES, WEIGHTS)
    assert table["key"].tolist() == [0.8, 0.3]
    assert table["decoys"].tolist() == pytest.approx(
        [float("nan"), 0.1], nan_ok=True
    )
    assert table["longest"].tolist() == [0.8, 0.4]
    assert table["chance"].tolist() == [0.5, 0.25]
    assert table["is_longest"].tolist() == [True, False]
    assert table["is_most_attended"].tolist() == [True, False]
    assert others == 2


def test_folds_are_the_unit_of_the_interval():
    table, _ = key_attention(TURNS, UTTERANCES, WEIGHTS)
    text = format_key_attention({"text": [table]}, 0.125)
    row = [cell.strip() for cell in text.splitlines()[2].split("|")[1:-1]]
    assert row[1:] == [
        *["all: 2", "0.550", "0.100", "0.600", "0.375", "+0.175", "0.500"]
    ]
    # differences of .3 and .05 in two folds: t at .975 with 1 degree is 12.706
    text = format_key_attention({"text": [table[:1], table[1:]]}, 0.125)
    # corrected variance: 1/2 for two folds plus 1/8 for shared training data
    margin = 12.706 * math.sqrt((1 / 2 + 1 / 8) * 0.25**2 / 2)
    assert f"[{0.175 - margin:+.3f}, {0.175 + margin:+.3f}]" in text
    assert "key is not the longest: 1" in text


@pytest.mark.parametrize("segment", ["aligned", "equal"])
def test_command(segment, tmp_path):
    run = tmp_path / "run"
    run.mkdir()

    def command():
        return CliRunner().invoke(main, ["key-attention", str(run)])

    found = command()
    assert found.exit_code == 1 and "no fold is finished" in found.output
    for fold, names in enumerate(("ad", "bc")):
        (run / f"fold_{fold}").mkdir()
        write_attention(
            run / f"fold_{fold}" / "attention.csv",
            list(names),
            [{"text": WEIGHTS[name], "audio": WEIGHTS[name]} for name in names],
        )
        write_predictions(
            run / f"fold_{fold}" / "predictions.csv",
            *(list(names), ["ang", "sad"], ["ang", "sad"]),
            *([[0.9, 0.1], [0.1, 0.9]], ["ang", "sad"]),
        )
        write_result(
            FoldLayout(run / f"fold_{fold}"),
            {
                **dict.fromkeys(METRICS, 1),
                **{"fold": fold, "n_train": 8, "n_test": 2, "manifest": ""},
            },
        )
    prepared = tmp_path / "prepared"
    write_manifest(prepared / "manifest.csv", UTTERANCES.values())
    write_folds(
        folds_path(prepared, "leave_one_session_out"),
        {name: FoldAssignment(0, None) for name in UTTERANCES},
    )
    seal(prepared / "manifest.csv")
    seal(folds_path(prepared, "leave_one_session_out"))
    write_json(
        prepared / "corpus.json",
        {
            "corpus": "controlled",
            "classes": sorted({u.emotion for u in UTTERANCES.values()}),
            "data_folder": str(tmp_path),
        },
    )
    (run / "hyperparams.yaml").write_text(
        f"prepared_folder: {prepared}\n"
        "preparation:\n    protocol: leave_one_session_out\n"
        f"segment: !name:speechbrain_can.features.segments.{segment}_segments\n"
        "    overlap: 0.1\n"
    )
    table = run / "fold_1" / "attention.csv"
    written = table.read_text()
    table.write_text(written.replace("0.", "1.", 1))
    assert "attention.csv. Delete" in command().output
    table.write_text(written)
    found = command()
    assert found.exit_code == 1 and "not a controlled corpus" in found.output
    (tmp_path / "plan.json").write_text(json.dumps(TURNS))
    printed = command().output
    assert "| text        | all: 2" in printed
    assert ("| audio       | all: 2" in printed) == (segment == "aligned")
    assert "other words than planned): 2" in printed
    assert "the longest word: 0.500" in printed


def test_attention_round_trip(tmp_path):
    path = tmp_path / "attention.csv"
    write_attention(path, ["b", "a"], [{"text": [0.25, 0.75]}, {"text": [1.0]}])
    assert path.read_text().splitlines()[1].startswith("a,text,")
    assert read_attention(path, "text") == {"a": [1.0], "b": [0.25, 0.75]}
    assert read_attention(path, "audio") == {}
