"""Model folders of all recipes predict what the trained modules predict."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.recipes import RECIPES, ROOT
from helpers.tiny_sources import source_overrides
from hyperpyyaml import load_hyperpyyaml

from speechbrain_can.alignment.words import Word
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.literal import dump, parse
from speechbrain_can.model_folder.write import (
    prediction_settings,
    write_model_folder,
)
from speechbrain_can.settings.hparams import read_settings

WORDS = ["oh really", "so what now then", "i like it"]
SMALL = {"hidden_size": 8, "embedding_size": 12, "n_mfcc": 13}
FILES = sorted((ROOT / "recipes").glob("*/*/hparams/**/*.yaml"))


def built(path, tiny, folder):
    """Return settings and objects of an hparams file with tiny encoders."""
    settings = read_settings(
        path, {"output_folder": str(folder), "data_folder": "x"}
    )
    values = {
        **SMALL,
        **source_overrides(path, tiny),
        "fold_folder": str(folder),
    }
    settings = settings.replaced(values)
    torch.manual_seed(0)
    hparams = settings.build()
    model = hparams["modules"]["model"]
    if hasattr(model, "fit_vocabulary"):
        words = [word for text in WORDS for word in text.split()]
        model.fit_vocabulary(words * 5)
    for module in hparams["modules"].values():
        module.eval()
    return settings, hparams


def batch(sample_rate):
    """Return waveforms of noise, their relative lengths and their words."""
    lengths = [0.6, 1.0, 0.8]
    wavs = torch.zeros(3, sample_rate)
    words = []
    for i, (seconds, text) in enumerate(zip(lengths, WORDS)):
        samples = int(seconds * sample_rate)
        wavs[i, :samples] = 0.1 * torch.randn(samples)
        texts = text.split()
        step = seconds / len(texts)
        words.append(
            [
                Word(each, j * step, (j + 1) * step)
                for j, each in enumerate(texts)
            ]
        )
    return wavs, torch.tensor(lengths), words


@pytest.mark.training
@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(ROOT / "recipes"))
)
def test_every_recipe_round_trips(path, tiny, tmp_path):
    """The trained modules, our loader and SpeechBrain's give the same probabilities."""
    settings, hparams = built(path, tiny, tmp_path)
    names = [f"class {i}" for i in range(hparams["classes"])]
    text = prediction_settings(settings, hparams, 1.5)
    write_model_folder(
        tmp_path / "model", text, names, "card", hparams["modules"]
    )
    ours = EmotionRecognizer.from_hparams(tmp_path / "model")
    theirs = EmotionRecognizer.from_hparams(
        tmp_path / "model", trust_model_code=True, savedir=tmp_path / "saved"
    )
    original = EmotionRecognizer(
        modules=hparams["modules"],
        hparams={**vars(ours.hparams), **hparams},
    )
    wavs, lengths, words = batch(ours.sample_rate)
    found = [
        recognizer.classify_batch(
            wavs, lengths, alignments=words, speakers=["a", "a", "b"]
        )
        for recognizer in (original, ours, theirs)
    ]
    assert ours.classes == theirs.classes == names
    for predictions in zip(*found):
        values = [list(p.probabilities.values()) for p in predictions]
        assert values[1] == pytest.approx(values[0], abs=1e-6)
        assert values[2] == pytest.approx(values[0], abs=1e-6)


def test_expressions_and_shared_parts(tmp_path):
    """Sizes, sums, texts, tuples and parts that are used twice."""
    path = tmp_path / "hyperparams.yaml"
    path.write_text(
        "data_folder: x\noutput_folder: y\nfold: 0\nfold_folder: .\n"
        "size: 3\nplace: results\nkernel: (5, 7)\nclasses: !ref <size> + 4\n"
        "shared: !new:torch.nn.Linear\n"
        "    in_features: !ref <size> * 2\n    out_features: !ref <size>\n"
        "other: !new:torch.nn.Linear\n"
        "    in_features: !ref <shared.in_features>\n"
        "    out_features: !ref (<size> + 2) * <classes>\n"
        "compute_features: !new:torch.nn.Unfold\n    kernel_size: !ref <kernel>\n"
        "segment: !name:os.path.join\n    p: !ref <place>/<size>\n"
        "normalize_by: null\n"
        "modules:\n    normalize: !ref <shared>\n    model: !ref <other>\n"
        "    more: [!ref <shared>, !ref <shared.in_features>]\n"
    )
    settings = read_settings(path)
    text = prediction_settings(settings, load_hyperpyyaml(settings.text), 2.0)
    values = parse(text, path)
    assert values["classes"] == 7
    assert values["modules"]["model"].arguments == {
        "in_features": 6,
        "out_features": 35,
    }
    assert values["modules"]["more"][1] == 6
    assert values["modules"]["normalize"].name == "shared"
    assert values["compute_features"].arguments == {"kernel_size": [5, 7]}
    assert values["segment"].arguments == {"p": "results/3"}
    assert set(values) >= {"shared", "temperature"} and "other" not in values
    assert parse(dump(values), path) == values


NORMALIZE = "!new:speechbrain_can.features.normalization.GlobalNormalization"


def test_settings_outside_the_subset(tiny, tmp_path, caplog):
    """Folders with such settings can be loaded by those who trust them."""
    path = RECIPES["EmoDB"] / "hparams" / "can.yaml"
    settings, hparams = built(path, tiny, tmp_path)
    text = re.sub(
        f"{NORMALIZE}\n +size: .*", f"{NORMALIZE} [13]", settings.text
    )
    assert text != settings.text
    found = prediction_settings(replace(settings, text=text), hparams, 1.5)
    assert "only be loaded with trust_model_code=True" in caplog.text
    with pytest.raises(InputError, match="line"):
        parse(found, path)
    names = [f"class {i}" for i in range(hparams["classes"])]
    modules = replace(settings, text=text).build()["modules"]
    write_model_folder(tmp_path / "model", found, names, "card", modules)
    trusted = EmotionRecognizer.from_hparams(
        tmp_path / "model", trust_model_code=True
    )
    assert trusted.classes == names


def test_paths_out_of_a_recipe_are_written_out(tiny, tmp_path):
    path = RECIPES["EmoDB"] / "hparams" / "encoders" / "can_whisper.yaml"
    settings, hparams = built(path, tiny, tmp_path)
    settings = settings.replaced({"audio_source": "../whisper"})
    text = prediction_settings(settings, hparams, 1.0)
    assert parse(text, path)["audio_source"] == str(
        Path("../whisper").resolve()
    )
    assert ".." not in text and "!PLACEHOLDER" not in text
