"""Examples in README and docs run, and the names in them exist."""

import csv
import locale
import pickle
import re
import shutil
from dataclasses import fields

import pandas as pd
import pytest
import torch
from helpers.corpora import write_wav
from helpers.pages import blocks, files_in
from helpers.recipes import RECIPES, ROOT, copy_recipe, on, run
from hyperpyyaml import load_hyperpyyaml
from sphinx.cmd.build import main as build_main
from sphinx.ext.apidoc import main as apidoc_main

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.__main__ import main
from speechbrain_can.alignment.pipeline import find_words
from speechbrain_can.alignment.readers import formats
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.io.files import write_json
from speechbrain_can.metrics import metrics
from speechbrain_can.metrics.intervals import bootstrap_intervals
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.summary import format_table, summarize

README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "speechbrain_can"
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "manifests/README.md",
        "tests/benchmarks/README.md",
    )
]
PAGES += sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("recipes/*/*/*.md"))


def test_pages_of_all_docstrings_build_without_a_warning(tmp_path, monkeypatch):
    pages, html = tmp_path / "api", tmp_path / "html"
    before = locale.setlocale(locale.LC_ALL)
    # Sphinx sets the locale of the process
    monkeypatch.setattr(locale, "setlocale", lambda *_: before)
    apidoc = ["-q", "--separate", "--module-first", "--no-toc", "-o"]
    assert apidoc_main([*apidoc, str(pages), str(PACKAGE)]) == 0
    build = ["-q", "-W", "-c", str(ROOT / "docs")]
    assert build_main([*build, str(pages), str(html)]) == 0
    page = html / "speechbrain_can.lobes.attention.html"
    assert "CrossAttention" in page.read_text(encoding="utf-8")


@pytest.fixture
def recipe(tmp_path):
    """Copy the recipe, to add custom files."""
    return copy_recipe(tmp_path / "recipe")


def test_the_example_of_the_readme_runs(capsys):
    (example,) = [b for b in blocks("README.md") if "CrossAttention" in b]
    exec(example, {})
    printed = capsys.readouterr().out
    assert printed == "torch.Size([8, 256]) torch.Size([8, 12, 4])\n"


def test_the_prediction_of_the_readme_runs(
    trained, controlled_corpus, tmp_path, monkeypatch, capsys
):
    (example,) = [b for b in blocks("README.md") if "EmotionRecognizer" in b]
    rows = read_manifest(trained / "prepared" / "manifest.csv")
    row = next(iter(rows.values()))
    monkeypatch.chdir(tmp_path)
    shutil.copy(resolve_wav(row, controlled_corpus), "speech.wav")
    example = example.replace("results/can/1234/fold_0", f"{trained}/fold_1")
    exec(example.replace("I like apples", row.transcription), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[0] in "ang exc hap sad fru sur neu".split()
    assert [line.split()[0] for line in printed[1:]] == [
        word.text for word in row.words
    ]


def test_custom_aligner_example(tmp_path, monkeypatch):
    ((name, block),) = files_in("docs/add_an_aligner.md").items()
    (tmp_path / name).write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    (yaml,) = blocks("docs/add_an_aligner.md", "yaml")
    aligner = load_hyperpyyaml(yaml)["aligner"]
    words = find_words(
        torch.zeros(24000), 24000, aligner, transcript="So what?"
    )
    assert words.words == [
        Word("so", 0.0, 0.333333),
        Word("what", 0.333333, 1.0),
    ]
    assert pickle.loads(pickle.dumps(aligner)).name == words.aligned_by
    with pytest.raises(
        AlignmentError, match="300 letters do not fit 1.0 s of audio"
    ):
        find_words(torch.zeros(24000), 24000, aligner, transcript="abc " * 100)


def test_custom_reader_example(tmp_path, monkeypatch):
    (example,) = blocks("docs/add_a_reader.md")
    monkeypatch.setattr(formats, "FORMATS", dict(formats.FORMATS))
    exec(example, {})
    (tmp_path / "a.lab").write_text("0 4000000 oh\n4000000 9000000 no\n")
    assert formats.read_alignment(tmp_path / "a.lab") == [
        Word("oh", 0.0, 0.4),
        Word("no", 0.4, 0.9),
    ]


@pytest.mark.parametrize("name", ["my_can", "my_fusion"])
def test_custom_module_examples(name, recipe, controlled_corpus, tmp_path):
    written = files_in("docs/add_an_encoder_or_fusion.md")
    assert len(written) == 4
    for path, block in written.items():
        (recipe / path).write_text(block)
    printed = run(
        tmp_path / "results",
        *on(controlled_corpus),
        *("--fold=0", "--number_of_epochs=1"),
        model=name,
        recipe=recipe,
    )
    assert f"{name} on controlled corpus" in printed
    # the attention of MeanFusion is uniform
    if name == "my_fusion":
        table = tmp_path / "results" / "fold_0" / "attention.csv"
        with open(table, newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert all(len(set(row["attention"].split())) == 1 for row in rows)


def test_a_custom_loss(recipe, controlled_corpus, tmp_path):
    for path, block in files_in("docs/add_a_loss.md").items():
        (recipe / path).write_text(block)
    printed = run(
        tmp_path / "results",
        *on(controlled_corpus),
        *("--fold=0", "--number_of_epochs=1"),
        model="my_loss",
        recipe=recipe,
    )
    assert "my_loss on controlled corpus" in printed


def test_custom_corpus_example(recipe, tmp_path):
    ((name, block),) = files_in("docs/add_a_corpus.md").items()
    (recipe / name).write_text(block)
    corpus = tmp_path / "corpus"
    rows = [
        (f"{speaker}_{emotion}{take}", speaker, emotion)
        for speaker in "abcd"
        for emotion in ("ang", "sad", "bor")
        for take in range(2)
    ]
    for number, (utterance_id, _, _) in enumerate(rows):
        write_wav(corpus / f"{utterance_id}.wav", 0.8, seed=number)
        (corpus / f"{utterance_id}.csv").write_text(
            "word,start,end\nSo,0.1,0.4\nwhat,0.4,0.7\n"
        )
    (corpus / "d_sad1.csv").unlink()
    (corpus / "d_sad0.wav").unlink()
    with open(corpus / "labels.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("ID", "speaker", "emotion"), *rows])
    (recipe / "hparams" / "mine.yaml").write_text(
        "base: can.yaml\nclasses: 4\npreparation: "
        "!name:my_corpus_prepare.prepare_my_corpus\n"
        "    data_folder: !ref <data_folder>\n"
        "    protocol: !ref <protocol>\n    fold_seed: !ref <fold_seed>\n"
    )
    printed = run(
        tmp_path / "results",
        f"--data_folder={corpus}",
        *("--protocol=leave_one_speaker_out", "--fold=0"),
        "--number_of_epochs=1",
        model="mine",
        recipe=recipe,
    )
    assert "mine on my corpus, leave_one_speaker_out, 4 classes" in printed
    with open(tmp_path / "results" / "prepared" / "skipped.csv") as stream:
        skipped = {row["ID"]: row["reason"] for row in csv.DictReader(stream)}
    assert len(skipped) == 10
    assert skipped["a_bor0"] == "label 'bor' is not a class"
    assert "alignment file not found" in skipped["d_sad1"]
    assert "audio file not found" in skipped["d_sad0"]


def test_custom_metric_example(tmp_path):
    before = dict(metrics.METRICS)
    (example,) = blocks("docs/metrics.md")
    try:
        exec(example, {})
        assert list(metrics.METRICS) == [*before, "kappa"]
        found = metrics.evaluate(list("aabb"), list("aaba"))
        assert found["kappa"] == pytest.approx(0.5)
        assert metrics.evaluate(["a"], ["a"])["kappa"] == 0
        table = pd.DataFrame(
            {
                "ID": range(6),
                "true": list("aaabbb"),
                "predicted": list("aababb"),
            }
        )
        low, high = bootstrap_intervals(table)["kappa"]
        assert -1 <= low < high <= 1
        write_json(
            tmp_path / "fold_0" / "result.json",
            {
                **{"fold": 0, "n_test": 4, "n_train": 8},
                **{"epochs": 1, "manifest": "m", "tables": {}, **found},
            },
        )
        description = {"model": "m", "corpus": "c", "protocol": "p"}
        run = RunLayout(tmp_path)
        summary = summarize(run, {**description, "classes": ["a", "b"]})
        assert "kappa 0.500" in format_table(summary, run)
    finally:
        metrics.METRICS.clear()
        metrics.METRICS.update(before)


def test_a_readme_names_every_hparams_file():
    text = README + (RECIPES["IEMOCAP"] / "README.md").read_text("utf-8")
    for path in (RECIPES["IEMOCAP"] / "hparams").rglob("*.yaml"):
        assert path.name in text, path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_are_valid(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def linked_pages(page):
    """Return the Markdown pages that a page links to."""
    links = re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8"))
    return {(page.parent / link).resolve() for link in links}


def test_every_page_is_reachable_from_the_readme():
    found, new = set(), {(ROOT / "README.md").resolve()}
    while new:
        found |= new
        new = set().union(*map(linked_pages, new)) - found
    assert not {page for page in PAGES if page.resolve() not in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_what_is_there(page):
    """Commands, hparams files and overrides in pages exist."""
    text = page.read_text(encoding="utf-8")
    assert "-m speechbrain_can." not in text
    called = r"(?:python -m speechbrain_can|speechbrain-can) ([a-z][\w-]*)"
    for command in re.findall(called, text):
        assert command in main.commands
    for path in re.findall(r"hparams/([\w/]+\.yaml)", text):
        if not path.startswith("my_"):
            found = list(ROOT.glob(f"recipes/*/*/hparams/{path}"))
            assert found, path
    known = "".join(
        path.read_text() for path in ROOT.glob("recipes/*/*/**/*.yaml")
    )
    for key in re.findall(r"--(\w+)=", text):
        options = {p.name for c in main.commands.values() for p in c.params}
        options |= {field.name for field in fields(RunOptions)}
        options |= {"part", "format"}
        options |= {"nproc_per_node"}  # option of torchrun
        assert key in options or f"{key}:" in known, key
