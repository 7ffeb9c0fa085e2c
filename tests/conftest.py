"""Fixtures: recipes as modules, tiny corpora, trained runs, resources."""

import os

import pytest
import torch
from helpers import resources, seeds
from helpers.corpora import (
    EMODB_LABELS,
    UTTERANCES,
    Release,
    corpus_seed,
    utterance,
    write_wav,
)
from helpers.recipes import RECIPES, load_module, on, run
from playwright.sync_api import sync_playwright

from speechbrain_can.alignment.words import Word

# No test needs the network. The hub library reads this variable on import.
os.environ["HF_HUB_OFFLINE"] = "1"

# Scripts that other tests run, and sources of the upstream contribution
collect_ignore_glob = [
    "benchmarks/[!t]*.py",
    "benchmarks/training.py",
    "stress/[!t]*.py",
    "upstream/contribution/*",
]

# With parallel workers, the slowest files start first.
LONGEST = ("test_ray.py", "test_runs.py", "test_kills.py", "test_benchmarks.py")


def pytest_addoption(parser):
    parser.addoption(
        "--seed-offset",
        type=int,
        default=0,
        help="Add this number, 0 or more, to the seeds of tests that train.",
    )


def pytest_configure(config):
    offset = config.getoption("--seed-offset")
    if offset < 0:
        raise pytest.UsageError(f"--seed-offset is {offset}; pass 0 or more")
    os.environ[seeds.VARIABLE] = str(offset)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        resources.mark(item)


@pytest.fixture(scope="session")
def iemocap_prepare():
    return load_module(RECIPES["IEMOCAP"] / "iemocap_prepare.py")


@pytest.fixture(scope="session")
def emodb_prepare():
    return load_module(RECIPES["EmoDB"] / "emodb_prepare.py")


@pytest.fixture(scope="session")
def data():
    """Return the folder of the corpora and word vectors for tests."""
    return resources.locate(
        "data", "emodb", "glove", "iemocap_layout", "sentences"
    )


@pytest.fixture(scope="session")
def whisper():
    """Return the folder of Whisper base: ``ct2`` for CTranslate2, ``hf`` for transformers."""
    return resources.locate("whisper", "ct2", "hf")


@pytest.fixture
def browser():
    """Chromium, driven by Playwright."""
    chromium = resources.locate("browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def controlled_corpus(tmp_path_factory):
    """Generate forty utterances in IEMOCAP's layout."""
    from speechbrain_can.controlled.generator import make_corpus

    folder = tmp_path_factory.mktemp("corpus") / "controlled"
    make_corpus(folder, utterances=UTTERANCES, seed=corpus_seed())
    return folder


@pytest.fixture(scope="session")
def trained(controlled_corpus, tmp_path_factory):
    """Return the folder of a run with one small trained fold, number 1."""
    folder = tmp_path_factory.mktemp("run") / "results"
    run(folder, *on(controlled_corpus), "--fold=1")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Write tiny pretrained models, each in a folder of its name."""
    from helpers import tiny_models

    return tiny_models.save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(seeds.shifted(0))


@pytest.fixture
def release(tmp_path):
    """Write a release with two speakers in each of five sessions, one improvised turn each."""
    release = Release(tmp_path / "IEMOCAP")
    for session in range(1, 6):
        for talker in "FM":
            release.add(f"Ses0{session}F_impro01_{talker}000")
    return release


@pytest.fixture
def emodb_release(tmp_path):
    """Write a release with three speakers of EmoDB, one sentence in seven emotions."""
    folder = tmp_path / "emodb"
    (folder / "labsilb").mkdir(parents=True)
    for speaker in ("03", "08", "09"):
        for letter in "WLEAFTN":
            name = f"{speaker}a01{letter}a"
            write_wav(folder / "wav" / f"{name}.wav", 0.9, 22050)
            (folder / "labsilb" / f"{name}.labsilb").write_text(
                EMODB_LABELS, encoding="latin-1"
            )
    return folder


@pytest.fixture
def small_corpus(tmp_path):
    """Return three utterances of noise, by ID."""
    utterances = {}
    for i, name in enumerate("abc"):
        seconds = 0.5 + i / 4
        write_wav(tmp_path / "corpus" / f"{name}.wav", seconds, seed=i)
        words = [Word("so", 0.0, 0.2), Word("what", 0.2, seconds)]
        utterances[name] = utterance(name, words, duration=seconds)
    return utterances
