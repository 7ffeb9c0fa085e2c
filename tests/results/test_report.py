import math

import pandas as pd
import pytest

from speechbrain_can.files import write_json
from speechbrain_can.results.folds import collect
from speechbrain_can.results.paper import PAPER
from speechbrain_can.results.report import (
    build_report,
    format_report,
    write_report,
)
from speechbrain_can.results.significance import summarise_systems

CAN = [0.50, 0.60, 0.55, 0.65, 0.60]
TEXT = [0.45, 0.58, 0.57, 0.60, 0.50]
# quantile of Student's t at .975 with 4 degrees of freedom, from a table
T_4 = 2.776445


def results(**systems):
    return pd.DataFrame(
        [
            (system, 1, fold, value, value / 2, 10.0)
            for system, values in systems.items()
            for fold, value in enumerate(values)
        ],
        columns=["system", "seed", "fold", "WA", "UA", "seconds"],
    )


def test_mean_deviation_and_paired_interval():
    summary = summarise_systems(results(can=CAN, text_model=TEXT))
    row = summary.loc["text_model"]
    mean = sum(TEXT) / 5
    assert row["WA mean"] == pytest.approx(mean)
    variance = sum((value - mean) ** 2 for value in TEXT) / 4
    assert row["WA std"] == pytest.approx(math.sqrt(variance))
    assert row["UA mean"] == pytest.approx(mean / 2)
    assert (row["folds"], row["seeds"], row["seconds"]) == (5, 1, 10.0)

    differences = [a - b for a, b in zip(TEXT, CAN)]
    mean = sum(differences) / 5
    variance = sum((value - mean) ** 2 for value in differences) / 4
    margin = T_4 * math.sqrt(variance / 5)
    assert row["WA difference"] == pytest.approx(mean)
    assert row["WA low"] == pytest.approx(mean - margin, abs=1e-6)
    assert row["WA high"] == pytest.approx(mean + margin, abs=1e-6)
    assert math.isnan(summary.loc["can", "WA difference"])


def test_only_common_folds_and_seeds_are_paired():
    table = results(can=CAN, text_model=TEXT[:2])
    other_seed = results(text_model=[0.9, 0.9]).assign(seed=2)
    row = summarise_systems(pd.concat([table, other_seed])).loc["text_model"]
    # its mean is over seeds and then over folds
    assert row["WA mean"] == pytest.approx((0.675 + 0.74) / 2)
    assert row["WA difference"] == pytest.approx((-0.05 - 0.02) / 2)


def test_one_fold_has_no_interval():
    report = build_report(
        summarise_systems(results(can=CAN[:1], audio_model=[0.4])), "EmoDB"
    )
    text = format_report(report, "title", "github")
    assert "| .400 | .200 | -.100 " in text and "±" not in text


def test_the_order_is_the_paper_s():
    systems = {system for rows in PAPER.values() for system in rows}
    values = dict.fromkeys(sorted(systems), CAN)
    report = build_report(
        summarise_systems(results(mine=TEXT, **values)), "EmoDB"
    )
    assert report["hparams"].tolist() == [
        *["text_model.yaml", "audio_model.yaml", "multi_hop.yaml"],
        *["learned_alignment.yaml", "can.yaml"],
        *["can.yaml", "equal_segmentation.yaml"],
        *["can.yaml", "no_stop_gradient.yaml", "no_align_loss.yaml"],
        "no_stop_gradient_no_align_loss.yaml",
        "no_cross_attention.yaml",
        "mine.yaml",
    ]
    assert report["table"].iloc[-1] == "Other systems"
    assert report["model"].iloc[-1] == "mine"


def test_the_paper_s_numbers_stand_beside_iemocap_only():
    summary = summarise_systems(results(can=CAN, text_model=TEXT, mine=TEXT))
    for corpus in ("EmoDB", "controlled corpus (IEMOCAP layout)"):
        text = format_report(build_report(summary, corpus), corpus, "github")
        assert "paper" not in text and ".579" not in text
    text = format_report(build_report(summary, "IEMOCAP"), "", "github")
    assert "paper's WA (IEMOCAP, random10, 7 classes)" in text
    (row,) = (line for line in text.splitlines() if "TextModel" in line)
    assert ".513 ± .015" in row and ".443 ± .015" in row


def test_the_paper_s_numbers_as_printed_in_it():
    """Relative gains that the paper's text states, from its Table 2."""
    models = PAPER["Table 2: models"]
    can, best = models["can"], models["multi_hop"]
    assert round(100 * (can.WA[0] / best.WA[0] - 1), 2) == 2.66
    assert round(100 * (can.UA[0] / best.UA[0] - 1), 2) == 3.18
    assert PAPER["Table 3: segmentation"]["can"][1:] == can[1:]
    assert PAPER["Table 4: ablations"]["can"][1:] == can[1:]


def test_counts_are_told_where_they_differ():
    table = results(can=CAN, text_model=TEXT[:2], mine=TEXT)
    table = pd.concat([table, results(mine=TEXT[:3]).assign(seed=2)])
    report = build_report(summarise_systems(table), "EmoDB")
    lines = format_report(report, "", "github").splitlines()
    cells = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in lines
        if line.count("|") > 3
    }
    assert cells["CAN"] == "5" and cells["TextModel"] == "2"
    assert cells["mine"] == "5 x 2 seeds, 8 runs, 5 beside CAN"


def test_equal_systems_differ_by_nothing():
    summary = summarise_systems(results(can=CAN, no_align_loss=CAN))
    text = format_report(build_report(summary, "EmoDB"), "", "github")
    assert "+.000 [+.000, +.000]" in text


def test_files(tmp_path):
    assert collect(tmp_path).empty
    assert write_report(tmp_path, "IEMOCAP", "random10") is None
    for fold, value in enumerate(CAN):
        write_json(
            tmp_path / "can" / "1" / f"fold_{fold}" / "result.json",
            {"fold": fold, "WA": value, "UA": value, "seconds": 3.0},
        )
    text = write_report(tmp_path, "IEMOCAP", "random10")
    assert text.startswith("IEMOCAP, random10, seed 1: mean")
    assert (tmp_path / "comparison.md").read_text("utf-8") == text
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert table["WA mean"].tolist() == pytest.approx([0.58])
    latex = (tmp_path / "comparison.tex").read_text("utf-8")
    assert r".580 $\pm$ .057" in latex and r"\toprule" in latex
    assert r"can.yaml" in latex and "±" not in latex.split("\n", 1)[1]
