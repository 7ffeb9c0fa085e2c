"""Fixtures: the recipes as modules, tiny corpora, and the data at hand."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

# No test needs the network; the hub's library reads this when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
RECIPES = {
    name: ROOT / "recipes" / name / "multimodal_emotion_recognition"
    for name in ("IEMOCAP", "EmoDB")
}


def load_module(path):
    """Imports a recipe's module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def iemocap_prepare():
    return load_module(RECIPES["IEMOCAP"] / "iemocap_prepare.py")


@pytest.fixture(scope="session")
def emodb_prepare():
    return load_module(RECIPES["EmoDB"] / "emodb_prepare.py")


@pytest.fixture
def shared():
    """The data beside the checkout, where it is present."""
    if not SHARED.is_dir():
        pytest.skip("the data beside the checkout is not present")
    return SHARED


@pytest.fixture(scope="session")
def embedded_corpus(tmp_path_factory):
    """Forty spoken utterances in IEMOCAP's layout."""
    from speechbrain_can.controlled.generator import make_corpus

    folder = tmp_path_factory.mktemp("corpus") / "embedded"
    make_corpus(folder, utterances=40, seed=3)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Tiny pretrained models; each in the folder of its name."""
    import tiny_models

    return tiny_models.save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def write_wav(path, seconds=1.0, sample_rate=16000, seed=0):
    """Writes noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(
        0, 0.1, round(seconds * sample_rate)
    )
    soundfile.write(path, samples, sample_rate)


WDSEG_HEADER = "\t SFrm  EFrm    SegAScr Word\n"


def wdseg(*rows):
    """Text of an alignment file from (first frame, last frame, word)."""
    lines = [f"\t{a:5d} {b:5d} {-9:10d} {word}\n" for a, b, word in rows]
    return WDSEG_HEADER + "".join(lines) + " Total score: -123\n"


class Release:
    """A small release of IEMOCAP, to be damaged by tests."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, kind, utterance, suffix):
        dialog = utterance.rpartition("_")[0]
        session = f"Session{int(utterance[3:5])}"
        return (
            self.folder
            / session
            / "sentences"
            / kind
            / dialog
            / f"{utterance}.{suffix}"
        )

    def wav(self, utterance):
        return self.path("wav", utterance, "wav")

    def wdseg(self, utterance):
        return self.path("ForcedAlignment", utterance, "wdseg")

    def add(self, utterance, label="ang", words=("so", "what(2)"), seconds=1.0):
        """Adds an utterance with evenly spaced words between silences."""
        session = self.folder / f"Session{int(utterance[3:5])}"
        dialog = utterance.rpartition("_")[0]
        for kind, line in (
            (
                "EmoEvaluation",
                f"[6.2901 - 8.2357]\t{utterance}\t{label}\t[2.5, 2.5, 2.5]\n"
                f"C-E1:\tAnger;\t()\n\n",
            ),
            (
                "transcriptions",
                f"{utterance} [006.2901-008.2357]: So, what?\n",
            ),
        ):
            path = session / "dialog" / kind / f"{dialog}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(line)
            # What a Mac leaves beside every file; it is not text.
            path.with_name("._" + path.name).write_bytes(b"\x00\x05\x16\x07")
        write_wav(self.wav(utterance), seconds, seed=len(utterance))
        step = round(seconds * 100 / (len(words) + 2))
        rows = [(0, step - 1, "<s>")]
        for i, word in enumerate(words, start=1):
            rows.append((i * step, (i + 1) * step - 1, word))
        rows.append(((len(words) + 1) * step, round(seconds * 100) - 1, "</s>"))
        alignment = self.wdseg(utterance)
        alignment.parent.mkdir(parents=True, exist_ok=True)
        alignment.write_text(wdseg(*rows), encoding="utf-8")


@pytest.fixture
def release(tmp_path):
    """Two talkers in each of five sessions, one improvised turn each."""
    release = Release(tmp_path / "IEMOCAP")
    for session in range(1, 6):
        for talker in "FM":
            release.add(f"Ses0{session}F_impro01_{talker}000")
    return release


EMODB_LABELS = """signal wochenAO
#
    0.100000   -1 der\t0.4
    0.300000   -1 la\t2.4
    0.600000   -1 pen\t0.0
    0.800000   -1 .\t
"""


@pytest.fixture
def emodb_release(tmp_path):
    """Three speakers of EmoDB, one sentence in seven emotions."""
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
