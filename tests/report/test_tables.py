import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from speechbrain_can.io.files import InputError, write_json
from speechbrain_can.metrics.intervals import bootstrap_intervals
from speechbrain_can.metrics.metrics import METRICS, evaluate
from speechbrain_can.metrics.significance import (
    corrected_difference,
    paired_test,
)
from speechbrain_can.report.comparison import summarize_systems
from speechbrain_can.report.paper import PAPER
from speechbrain_can.report.tables import (
    build_report,
    choose_reference,
    format_report,
    format_tables,
    interval_table,
    write_tables,
)
from speechbrain_can.runs.layout import RunLayout, find_runs
from speechbrain_can.runs.predictions import write_predictions
from speechbrain_can.runs.summary import collect, common_folds, load_predictions

CAN = [0.50, 0.60, 0.55, 0.65, 0.60]
TEXT = [0.45, 0.58, 0.57, 0.60, 0.50]
# quantile of Student's t at .975 with 4 degrees of freedom, from a table
T_4 = 2.776445


def results(**systems):
    return pd.DataFrame(
        [
            (
                system,
                1,
                fold,
                value,
                value / 2,
                value / 2,
                10,
                80,
                "m",
                None,
            )
            for system, values in systems.items()
            for fold, value in enumerate(values)
        ],
        columns=[
            *["system", "seed", "fold", "WA", "UA", "macro-F1"],
            *["n_test", "n_train", "manifest", "path"],
        ],
    )


def test_mean_deviation_and_paired_interval():
    summary = summarize_systems(results(can=CAN, text_model=TEXT))
    row = summary.loc["text_model"]
    mean = sum(TEXT) / 5
    assert row["WA mean"] == pytest.approx(mean)
    variance = sum((value - mean) ** 2 for value in TEXT) / 4
    assert row["WA std"] == pytest.approx(math.sqrt(variance))
    assert row["UA mean"] == pytest.approx(mean / 2)
    assert (row["folds"], row["seeds"]) == (5, 1)

    differences = [a - b for a, b in zip(TEXT, CAN)]
    mean = sum(differences) / 5
    variance = sum((value - mean) ** 2 for value in differences) / 4
    # Nadeau and Bengio: 1/5 and the ratio of test to training utterances
    margin = T_4 * math.sqrt(variance * (1 / 5 + 10 / 80))
    assert row["WA difference"] == pytest.approx(mean)
    assert row["WA low"] == pytest.approx(mean - margin, abs=1e-6)
    assert row["WA high"] == pytest.approx(mean + margin, abs=1e-6)
    assert math.isnan(summary.loc["can", "WA difference"])


def test_corrected_interval_is_wider():
    differences = pd.Series([0.01 * (i % 5) - 0.01 for i in range(10)])
    found = corrected_difference(differences, test_share=1 / 8)
    plain = stats.ttest_1samp(differences, 0)
    low, high = plain.confidence_interval(0.95)
    width = found["high"] - found["low"]
    assert width / (high - low) == pytest.approx(1.5)
    # without the correction, this is the ordinary t-test
    found = corrected_difference(differences, test_share=0)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["p"] == pytest.approx(plain.pvalue)


def test_p_values_are_corrected_for_many_comparisons():
    """Holm: the smallest of three p-values is multiplied by three, and so on."""
    values = {
        "can": [0.5] * 5,
        "far": [0.4, 0.41, 0.39, 0.4, 0.4],
        "near": [0.49, 0.47, 0.5, 0.46, 0.49],
        "same": [0.5, 0.51, 0.49, 0.5, 0.505],
    }
    summary = summarize_systems(results(**values))
    alone = {
        name: summarize_systems(results(can=values["can"], other=v)).loc[
            "other", "WA p"
        ]
        for name, v in values.items()
        if name != "can"
    }
    assert alone["far"] < alone["near"] < alone["same"]
    for name, times in (("far", 3), ("near", 2), ("same", 1)):
        assert summary.loc[name, "WA p"] == pytest.approx(
            min(1, times * alone[name])
        )
    text = format_report(build_report(summary, "EmoDB"), "", "github")
    (far,) = (line for line in text.splitlines() if line.startswith("| far"))
    (same,) = (line for line in text.splitlines() if line.startswith("| same"))
    assert "]*" in far and "*" not in same


def test_differences_without_variance_are_not_tested():
    other = [value - 0.02 for value in CAN]
    summary = summarize_systems(results(can=CAN, other=other))
    row = summary.loc["other"]
    assert row["WA difference"] == pytest.approx(-0.02)
    assert math.isnan(row["WA p"])
    # rounding errors are not a variance
    for step in (0.1, 1 / 3, 1e-6):
        values = pd.Series([0.7 + step - 0.7, step, 0.1 + step - 0.1] * 2)
        assert math.isnan(corrected_difference(values, 1 / 8)["p"])
    zero = pd.Series([0.1 + 0.2 - 0.3, 0.0, 0.0])
    assert corrected_difference(zero, 1 / 8)["p"] == 1


def test_comparisons_without_a_p_value_are_counted():
    other = [value - 0.02 for value in CAN]
    near = [0.49, 0.47, 0.5, 0.46, 0.49]
    pair = summarize_systems(results(can=CAN, near=near))
    summary = summarize_systems(results(can=CAN, near=near, constant=other))
    assert math.isnan(summary.loc["constant", "WA p"])
    assert summary.loc["near", "WA p"] == pytest.approx(
        min(1, 2 * pair.loc["near", "WA p"])
    )


def test_several_seeds_of_one_fold_are_compared_utterance_by_utterance():
    """Permuting signs one by one results in the same p-value."""
    generator = np.random.default_rng(0)

    def seeds(chance):
        right = generator.random((3, 12)) < chance
        return [
            pd.DataFrame(
                {
                    "ID": [f"u{i}" for i in range(12)],
                    "true": "ang",
                    "predicted": np.where(row, "ang", "sad"),
                }
            )
            for row in right
        ]

    ours, theirs = seeds(0.8), seeds(0.4)
    right, other = (
        sum((table["predicted"] == "ang").astype(int) for table in tables)
        for tables in (ours, theirs)
    )
    differences = (right - other).to_numpy()
    sums = np.array(list(itertools.product([1, -1], repeat=12))) @ differences
    expected = min(
        1,
        2
        * min(
            (sums >= differences.sum()).mean(),
            (sums <= differences.sum()).mean(),
        ),
    )
    assert expected < 0.2
    assert paired_test(ours, theirs) == pytest.approx(expected)
    assert paired_test(ours, ours) == 1


def test_one_fold_is_compared_utterance_by_utterance(tmp_path):
    """McNemar: 12 discordant utterances, 10 against 2."""
    ids = [f"u{i:02d}" for i in range(40)]
    true = ["ang"] * 40
    rights = {
        "can": [i < 10 or i >= 20 for i in range(40)],
        "other": [i >= 10 and not 20 <= i < 22 for i in range(40)],
    }
    rights["can"][:10], rights["other"][:10] = [False] * 10, [True] * 10
    rights["can"][10:20] = rights["other"][10:20] = [True] * 10
    rows = []
    for system, right in rights.items():
        path = tmp_path / system / "predictions.csv"
        predicted = ["ang" if r else "sad" for r in right]
        order = ids if system == "can" else ids[::-1]
        write_predictions(
            path,
            order,
            true,
            predicted if system == "can" else predicted[::-1],
            [[0.5, 0.5]] * 40,
            ["ang", "sad"],
        )
        wa = sum(right) / 40
        rows.append((system, 1, 0, wa, wa, wa, 40, 160, "m", path))
    table = pd.DataFrame(rows, columns=results(can=CAN).columns)
    summary = summarize_systems(table)
    row = summary.loc["other"]
    assert row["WA difference"] == pytest.approx(8 / 40)
    assert row["WA p"] == pytest.approx(stats.binomtest(2, 12).pvalue)
    # no interval, and UA is not tested
    text = format_report(build_report(summary, "EmoDB"), "", "github")
    (line,) = (row for row in text.splitlines() if row.startswith("| other"))
    assert line.count("+.200") == 3 and line.count("*") == 1
    assert "[" not in line and "±" not in line


def test_unequal_folds_and_seeds_are_refused():
    table = results(can=CAN, text_model=TEXT[:2])
    with pytest.raises(
        InputError, match="text_model has no .* seed 1, fold 2 and 2 more"
    ):
        summarize_systems(table)
    other_seed = results(text_model=TEXT).assign(seed=2)
    with pytest.raises(InputError, match="can has no .* seed 2, fold 0"):
        summarize_systems(
            pd.concat([results(can=CAN, text_model=TEXT), other_seed])
        )


def test_missing_seeds_are_reported():
    again = results(can=CAN[:1], text_model=TEXT[:1]).assign(seed=2)
    table = pd.concat([results(can=CAN, text_model=TEXT), again])
    with pytest.raises(InputError, match="can has no .* seed 2, fold 1"):
        summarize_systems(table)
    assert set(common_folds(table)["fold"]) == {0}
    assert len(common_folds(table)) == 4


def test_fold_value_is_mean_over_seeds():
    again = results(can=CAN, text_model=[0.9] * 5).assign(seed=2)
    table = pd.concat([results(can=CAN, text_model=TEXT), again])
    row = summarize_systems(table).loc["text_model"]
    folds = [(value + 0.9) / 2 for value in TEXT]
    assert row["WA mean"] == pytest.approx(sum(folds) / 5)
    differences = [a - b for a, b in zip(folds, CAN)]
    assert row["WA difference"] == pytest.approx(sum(differences) / 5)
    assert row["WA std"] == pytest.approx(pd.Series(folds).std())


def test_another_reference():
    summary = summarize_systems(
        results(can=CAN, text_model=TEXT), reference="text_model"
    )
    assert summary.loc["can", "WA difference"] == pytest.approx(0.04)
    assert math.isnan(summary.loc["text_model", "WA difference"])
    table = results(first=CAN, second=TEXT)
    assert choose_reference(table) == "first"
    assert choose_reference(table, "second") == "second"
    with pytest.raises(
        InputError, match="unknown system 'third'. Choose one of first"
    ):
        choose_reference(table, "third")


def test_order_of_systems():
    systems = {system for rows in PAPER.values() for system in rows}
    values = dict.fromkeys(sorted(systems), CAN)
    report = build_report(
        summarize_systems(results(mine=TEXT, **values)), "EmoDB"
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


def test_scores_of_the_paper_only_for_iemocap():
    summary = summarize_systems(results(can=CAN, text_model=TEXT, mine=TEXT))
    for corpus in ("EmoDB", "controlled corpus (IEMOCAP layout)"):
        text = format_report(build_report(summary, corpus), corpus, "github")
        assert "paper" not in text and ".579" not in text
    text = format_report(build_report(summary, "IEMOCAP"), "", "github")
    assert "WA in the paper (IEMOCAP, random10, 7 classes)" in text
    (row,) = (line for line in text.splitlines() if "TextModel" in line)
    assert ".513 ± .015" in row and ".443 ± .015" in row


def test_scores_of_the_paper():
    """Relative gains stated in the paper's text, from its Table 2."""
    models = PAPER["Table 2: models"]
    can, best = models["can"], models["multi_hop"]
    assert round(100 * (can.WA[0] / best.WA[0] - 1), 2) == 2.66
    assert round(100 * (can.UA[0] / best.UA[0] - 1), 2) == 3.18
    assert PAPER["Table 3: segmentation"]["can"][1:] == can[1:]
    assert PAPER["Table 4: ablations"]["can"][1:] == can[1:]


def test_seeds_are_counted():
    table = pd.concat([results(can=CAN), results(can=CAN).assign(seed=2)])
    report = build_report(summarize_systems(table), "EmoDB")
    assert "| 5 x 2 seeds |" in format_report(report, "", "github")


def test_single_system_has_no_comparison():
    report = build_report(summarize_systems(results(mine=CAN), "mine"), "EmoDB")
    assert "mine's" not in format_report(report, "", "github", "mine")


def test_difference_of_equal_systems():
    summary = summarize_systems(results(can=CAN, no_align_loss=CAN))
    text = format_report(build_report(summary, "EmoDB"), "", "github")
    assert "+.000 [+.000, +.000]" in text


def write_run(folder, rights, seed=1):
    """Write a run with two folds of ten utterances by two speakers; return its folder."""
    run = folder / str(seed)
    for fold in range(2):
        ids = [f"u{fold}{i}" for i in range(10)]
        true = ["ang", "sad"] * 5
        right = [i < rights[fold] for i in range(10)]
        predicted = [t if r else "neu" for t, r in zip(true, right)]
        path = run / f"fold_{fold}"
        write_predictions(
            path / "predictions.csv",
            ids,
            true,
            predicted,
            [[0.2, 0.3, 0.5]] * 10,
            ["ang", "sad", "neu"],
        )
        write_json(
            path / "result.json",
            {
                **{"fold": fold, "n_test": 10, "n_train": 80},
                **dict.fromkeys(METRICS, rights[fold] / 10),
                **{"manifest": "m", "tables": {}},
            },
        )
    return run


def test_comparison_files(tmp_path):
    write_run(tmp_path / "can", [6, 8])
    write_run(tmp_path / "text_model", [5, 7])
    runs = find_runs([tmp_path])
    assert [run[:2] for run in runs] == [("can", 1), ("text_model", 1)]
    found = collect(runs)
    predictions = load_predictions(found)
    speakers = {name: name[-1] for name in predictions["ID"]}
    intervals = interval_table(predictions, speakers)
    tables = format_tables(found, intervals, "IEMOCAP", "random10", "can")
    assert tables["md"].startswith("IEMOCAP, random10, seed 1: mean")
    write_tables(tmp_path / "comparison", tables)
    assert (tmp_path / "comparison.md").read_text("utf-8") == tables["md"]
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert table["WA mean"].tolist() == pytest.approx([0.6, 0.7])
    assert "WA over 20 utterances" in tables["md"]
    assert "WA over 10 speakers" in tables["md"]
    latex = (tmp_path / "comparison.tex").read_text("utf-8")
    assert r".700 $\pm$ .141" in latex and latex.count(r"\toprule") == 2
    assert r"can.yaml" in latex and "±" not in latex.split("\n", 1)[1]


def test_runs_are_found_by_their_folders(tmp_path):
    first = write_run(tmp_path / "can", [6, 8])
    loose = write_run(tmp_path, [6, 8]).rename(tmp_path / "my run")
    assert find_runs([tmp_path / "my run", first]) == [
        ("can", 1, RunLayout(first)),
        ("my run", 0, RunLayout(loose)),
    ]
    other = write_run(tmp_path / "elsewhere" / "can", [6, 8])
    with pytest.raises(InputError, match="are both can, seed 1"):
        find_runs([first, other])
    with pytest.raises(InputError, match="contains no run"):
        find_runs([tmp_path / "nothing"])


def test_bootstrap_equals_loop(tmp_path):
    """Resampling the same rows one by one results in the same interval."""
    generator = np.random.default_rng(3)
    true = generator.choice(["ang", "sad", "neu"], 300, p=[0.6, 0.3, 0.1])
    wrong = generator.random(300) < 0.4
    predicted = np.where(wrong, "sad", true)
    table = pd.DataFrame(
        {
            "ID": [f"u{i}" for i in range(300)],
            "speaker": [f"s{i % 6}" for i in range(300)],
            "true": true,
            "predicted": predicted,
        }
    )
    found = bootstrap_intervals(table)
    draws = np.random.default_rng(0).integers(0, 300, (1000, 300))
    drawn = [evaluate(true[rows], predicted[rows]) for rows in draws]
    for name in METRICS:
        expected = np.percentile([row[name] for row in drawn], [2.5, 97.5])
        assert found[name] == pytest.approx(expected, abs=1e-9)
    over_speakers = bootstrap_intervals(table, "speaker")
    assert bootstrap_intervals(table, "speaker") == over_speakers
    drawn = [
        evaluate(
            *(
                np.concatenate([column[i::6] for i in row])
                for column in (true, predicted)
            )
        )["WA"]
        for row in np.random.default_rng(0).integers(0, 6, (1000, 6))
    ]
    expected = np.percentile(drawn, [2.5, 97.5])
    assert over_speakers["WA"] == pytest.approx(expected, abs=1e-9)
    one = table.assign(speaker="s0")
    assert bootstrap_intervals(one, "speaker")["UA"] is None


def test_speakers_that_differ_widen_the_interval():
    """All utterances of half of the speakers are correct, all others wrong."""
    table = pd.DataFrame(
        {
            "ID": [f"u{i}" for i in range(200)],
            "speaker": [f"s{i % 4}" for i in range(200)],
            "true": "ang",
            "predicted": ["ang" if i % 4 < 2 else "sad" for i in range(200)],
        }
    )
    low, high = bootstrap_intervals(table)["WA"]
    assert high - low < 0.2
    low, high = bootstrap_intervals(table, "speaker")["WA"]
    assert (low, high) == (0.0, 1.0)


def test_runs_of_different_preparations_are_not_compared():
    other = results(text_model=TEXT).assign(manifest="another")
    message = "can, seed 1, fold 0 and text_model, seed 1, fold 0 use different"
    with pytest.raises(InputError, match=message):
        summarize_systems(pd.concat([results(can=CAN), other]))


@pytest.mark.attack
def test_names_are_text_in_every_table(tmp_path):
    name = "=a|<script>_$x"
    write_run(tmp_path / name, [6, 8])
    write_run(tmp_path / "can", [5, 7])
    found = collect(find_runs([tmp_path]))
    intervals = interval_table(load_predictions(found))
    tables = format_tables(found, intervals, "a\nb|<i>", "random10", "can")
    assert "<script>" not in tables["md"] and "<i>" not in tables["md"]
    rows = [r for r in tables["md"].splitlines() if "script" in r]
    headers = [r for r in tables["md"].splitlines() if r.startswith("| ")]
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) in {len(re.split(r"(?<!\\)\|", h)) for h in headers}
    assert r"\_\$x" in tables["tex"] and "\nb" not in tables["tex"]
    assert not re.search(r"(^|,)=", tables["csv"], re.M)
