"""Model folders that earlier versions wrote."""

import shutil

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain_can.__main__ import main
from speechbrain_can.alignment.words import Word
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.parameters import PACKED, save_network
from speechbrain_can.model_folder.read import CLASSES, OLD_CLASSES
from speechbrain_can.settings.hparams import SETTINGS, read_settings

pytestmark = pytest.mark.training
PRETRAINER = """\
temperature: 1.5
aligner: !new:speechbrain_can.alignment.aligners.equal.EqualSegments {}
transcriber: null
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
network: !new:torch.nn.ModuleDict
    modules: !ref <modules>
pretrainer: !new:speechbrain_can.model_folder.read.PackedPretrainer
    loadables:
        network: !ref <network>
        label_encoder: !ref <label_encoder>
"""


@pytest.fixture(params=[False, True], ids=["full", "half"])
def old(request, trained, tmp_path):
    """A model folder in the format of earlier versions."""
    folder = tmp_path / "old"
    shutil.copytree(trained / "fold_1" / "model", folder)
    recognizer = EmotionRecognizer.from_hparams(folder)
    settings = read_settings(trained / "fold_1" / SETTINGS)
    parts = ["compute_features", "segment", "modules", "classes"]
    text = settings.replaced({"glove_file": None}).part(parts)
    (folder / SETTINGS).write_text(f"{text}{PRETRAINER}", "utf-8")
    (folder / CLASSES).unlink()
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(recognizer.classes)
    encoder.save(folder / OLD_CLASSES)
    network = torch.nn.ModuleDict(dict(recognizer.mods))
    save_network(network, folder / PACKED, request.param)
    return folder


def convert(*arguments):
    """Run ``speechbrain-can convert``."""
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


def test_old_folders_are_converted(old, tmp_path):
    command = f"speechbrain-can convert --trust-model-code {old} NEW_FOLDER"
    with pytest.raises(InputError, match=command):
        EmotionRecognizer.from_hparams(old)
    new = tmp_path / "new"
    assert "Missing option '--trust-model-code'" in convert(old, new).output
    result = convert("--trust-model-code", old, new)
    assert result.exit_code == 0, result.output
    converted = EmotionRecognizer.from_hparams(new)
    before = EmotionRecognizer.from_hparams(old, trust_model_code=True)
    assert converted.classes == before.classes
    wavs = torch.rand(1, converted.sample_rate) - 0.5
    words = [[Word("oh", 0.2, 0.5), Word("no", 0.5, 0.8)]]
    (found,), (expected,) = (
        recognizer.classify_batch(wavs, alignments=words)
        for recognizer in (converted, before)
    )
    assert found.probabilities == expected.probabilities
    dtypes = []
    for folder in (old, new):
        with safe_open(folder / PACKED, framework="pt") as file:
            dtypes.append({k: file.get_tensor(k).dtype for k in file.keys()})
    assert dtypes[0] == dtypes[1]
    assert "exists. Choose" in convert("--trust-model-code", old, new).output
    empty = tmp_path / "empty"
    empty.mkdir()
    printed = convert("--trust-model-code", empty, tmp_path / "x").output
    assert "is not a model folder" in printed
