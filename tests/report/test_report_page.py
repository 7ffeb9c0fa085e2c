"""The report of real runs: self-contained, and functional in a real browser."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner

from speechbrain_can.__main__ import main
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.metrics import evaluate, recall_over_chance
from speechbrain_can.report.data import entropy, gather, read_log
from speechbrain_can.report.figures import calibration_bins
from speechbrain_can.report.report_page import confident_errors
from speechbrain_can.runs.layout import FoldLayout
from speechbrain_can.runs.predictions import read_predictions, write_predictions
from speechbrain_can.runs.results import read_provenance, write_result


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    """Return two systems with two seeds: a trained fold, and the same with other errors."""
    folder = tmp_path_factory.mktemp("runs")
    for system, seeds in {"can": (1, 2), "<other>": (1, 2)}.items():
        for seed in seeds:
            run = folder / system / str(seed)
            shutil.copytree(trained, run)
            if system == "can":
                continue
            path = run / "fold_1" / "predictions.csv"
            table = read_predictions(path)
            classes = list(table.columns[3:])
            write_predictions(
                path,
                table["ID"],
                table["true"],
                [classes[0]] * len(table),
                table[classes].to_numpy()[:, ::-1],
                classes,
            )
            # the result must match the predictions
            table = read_predictions(path)
            result = json.loads((run / "fold_1" / "result.json").read_text())
            result.update(
                evaluate(*(list(table[k]) for k in ("true", "predicted")))
            )
            write_result(FoldLayout(run / "fold_1"), result)
    return folder


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    result = CliRunner().invoke(
        main,
        [
            "report",
            str(runs),
            *("--html", str(folder / "report.html")),
            *("--markdown", str(folder / "report.md")),
            *("--latex", str(folder / "report.tex")),
            *("--by=sex,duration", "--smallest-group=2"),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return folder / "report.html"


def test_differences_have_their_own_table(page):
    text = page.read_text(encoding="utf-8")
    # the main table fits a page of 1280 pixels
    assert "Difference from" in text or "difference from" in text
    assert not re.search(r"<th>[^<]*difference from", text)
    assert "fewer than five folds" in text  # there is one


def test_the_first_folder_is_the_reference(runs):
    folders = [str(runs / name) for name in ("<other>", "can")]
    found = CliRunner().invoke(main, ["report", *folders])
    assert "difference from &lt;other>" in found.output
    found = CliRunner().invoke(main, ["report", str(runs)])
    assert "difference from CAN" in found.output


def test_classifiers_at_chance_are_marked(runs, page):
    heads = gather([runs]).heads.set_index(["system", "classifier"])
    assert set(heads.loc["can"].index) == {"joint", "text", "audio"}
    text = page.read_text(encoding="utf-8")
    marked = text.count("is at chance</strong>")
    assert marked == heads["at chance"].sum()
    recall, chance, at_chance = recall_over_chance(
        np.array([90, 80]), np.array([100, 100])
    )
    assert (recall, chance, at_chance) == (pytest.approx(0.85), 0.5, False)
    # a classifier that always predicts the same class
    collapsed = recall_over_chance(np.array([20, 0]), np.array([20, 20]))
    assert collapsed == (0.5, 0.5, True)


def test_calibration_bins_contain_all_utterances():
    table = pd.DataFrame(
        {
            "true": ["a", "a", "b"],
            "predicted": ["a", "b", "b"],
            "a": [0.9, 0.4, 0.2],
            "b": [0.1, 0.6, 0.8],
            "temperature": [1.0, 1.0, 2.0],
        }
    )
    bins = calibration_bins(table, ["a", "b"])
    assert sum(each["n"] for each in bins) == 3
    # 0.8 with a temperature of 2 is 2 / 3
    found = [b for b in bins if b["low"] < 2 / 3 <= b["high"]]
    assert found[0]["n"] == 1 + (0.6 > found[0]["low"] + 1e-6)
    assert found[0]["accuracy"] == 1.0


def test_groups_are_compared(page):
    for path in (page, page.with_suffix(".md"), page.with_suffix(".tex")):
        text = path.read_text(encoding="utf-8")
        for heading in ("can by sex", "can by duration"):
            assert heading in text
        assert "Largest difference in UA" in text


@pytest.mark.parametrize(
    "column, expected",
    [("shoe size", "has no column 'shoe size'"), ("aligned_by", "the value")],
)
def test_unusable_columns_are_refused(runs, column, expected):
    result = CliRunner().invoke(main, ["report", str(runs), f"--by={column}"])
    assert result.exit_code == 1
    assert expected in result.output


@pytest.mark.attack
def test_report_is_self_contained(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"(?:src|href)=.([^\"']+)", text)
    assert links and all(link.startswith(("#", "data:")) for link in links)
    # names of systems are escaped
    assert "<other>" not in text and "&lt;other&gt;" in text


def test_report_content(page, runs):
    text = page.read_text(encoding="utf-8")
    gathered = gather([runs])
    provenance = read_provenance(FoldLayout(runs / "can" / "1" / "fold_1"))
    for part in (
        "leave_one_session_out",
        "near-duplicate sentence",
        "on the key word",
        provenance["environment"]["processor"],
        "train.py",
        f"{provenance['environment']['torch']}",
    ):
        assert part in text
    assert provenance["command"].endswith("--fold=1")
    assert text.count("data:image/svg+xml;base64,") == 4
    # the curve contains all epochs of the log
    log = read_log(runs / "can" / "1" / "fold_1" / "train_log.txt")
    curve = gathered.curves[
        (gathered.curves["system"] == "can") & (gathered.curves["seed"] == 1)
    ]
    assert curve["epoch"].tolist() == [epoch for epoch, _ in log]
    assert curve["value"].tolist() == [v["valid WA"] for _, v in log]
    assert curve["tested"].sum() == 1
    (best,) = curve.loc[curve["tested"], "value"]
    assert best == curve["value"].max()


def test_tables_in_markdown_and_latex(page):
    markdown = page.with_suffix(".md").read_text(encoding="utf-8")
    assert "| CAN " in markdown and "| near-duplicate sentence" in markdown
    assert "over speakers" in markdown
    latex = page.with_suffix(".tex").read_text(encoding="utf-8")
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 8


def test_errors_are_sorted_by_confidence(runs):
    gathered = gather([runs])
    own = gathered.predictions[gathered.predictions["system"] == "can"]
    found = confident_errors(own, gathered.corpus, most=5)
    sure = [row["confidence"] for row in found]
    assert sure == sorted(sure, reverse=True)
    assert len({row["ID"] for row in found}) == len(found)
    wrong = own[own["true"] != own["predicted"]]
    assert sure[0] == wrong[gathered.corpus.classes].max(axis=1).max()
    for row in found:
        utterance = gathered.corpus.utterances[row["ID"]]
        assert utterance.emotion == row["true"] != row["predicted"]


def test_unequal_runs_are_refused(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs" / "can" / "2")
    with pytest.raises(
        InputError, match="can has no result for seed 2, fold 1"
    ):
        gather([tmp_path / "runs"])
    # unfinished runs are reported
    (tmp_path / "runs" / "can" / "2" / "fold_1").mkdir(parents=True)
    with pytest.raises(InputError, match="can.2 has no finished fold"):
        gather([tmp_path / "runs"])
    shutil.rmtree(tmp_path / "runs" / "can" / "2")
    # results must match their predictions
    path = tmp_path / "runs" / "can" / "1" / "fold_1" / "predictions.csv"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    with pytest.raises(
        InputError, match="result.json does not match .*predictions"
    ):
        gather([tmp_path / "runs" / "can"])
    path.write_text(whole)
    # the same utterances with another protocol have different folds
    fold = FoldLayout(tmp_path / "runs" / "can" / "1" / "fold_1")
    result = json.loads(fold.result.read_text())
    write_result(fold, {**result, "manifest": "another"})
    with pytest.raises(InputError, match="different preparations or protocols"):
        gather([tmp_path / "runs" / "can", tmp_path / "runs" / "<other>"])


def test_errors_of_the_command(runs, tmp_path):
    def refused(*arguments):
        result = CliRunner().invoke(main, ["report", *map(str, arguments)])
        assert result.exit_code != 0
        return " ".join(result.output.split())

    assert "no run: it has no folder fold_<number>" in refused(tmp_path)
    assert "unknown system 'mine'" in refused(runs, "--reference=mine")
    fold = runs / "can" / "1" / "fold_1"
    assert "apply to runs. Pass" in refused(fold, "--reference=can")


def test_entropy():
    weights = np.array([0.7, 0.2, 0.1])
    expected = -np.sum(weights * np.log(weights)) / np.log(3)
    assert entropy(weights) == pytest.approx(expected)
    assert entropy([0.5, 0.5, 0.0]) == pytest.approx(np.log(2) / np.log(3))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_opens_offline_and_is_accessible(browser, page, scheme):
    tab = browser.new_page(color_scheme=scheme)
    errors, requests = [], []
    tab.on("pageerror", lambda error: errors.append(error))
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    assert errors == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    for picture in tab.locator("img").all():
        assert picture.evaluate("image => image.naturalWidth") > 100
    tab.get_by_role("link", name="High-confidence errors").click()
    assert tab.get_by_role("table").count() >= 8
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [1280, 390])
def test_report_fits(browser, page, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1280:  # the main table needs no scrolling
        table = tab.locator(".scroll").first
        assert table.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_a_table_of_predictions_reads_back(runs):
    gathered = gather([runs / "can"])
    assert set(gathered.predictions["seed"]) == {1, 2}
    assert gathered.systems == ["can"]
    assert pd.api.types.is_float_dtype(
        gathered.predictions[gathered.corpus.classes[0]]
    )
