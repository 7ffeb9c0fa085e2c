"""A stranger's model folder builds a model or is refused: nothing of it runs."""

import pickle
import shutil
import zipfile

import pytest
import torch

from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.inference.trust import UntrustedError, check_model_folder

ATTACKS = {
    "apply": "evil: !apply:os.system [touch {mark}]",
    "apply in a list": "evil: [1, {a: !apply:os.system [touch {mark}]}]",
    "apply of builtins": 'evil: !apply:builtins.exec [\'open("{mark}", "w")\']',
    "new": "evil: !new:subprocess.Popen [[touch, {mark}]]",
    "new of a path": "evil: !new:pathlib.Path ['{mark}']",
    "new through ours": (
        "evil: !new:speechbrain_can.lobes.text.logging.FileHandler ['{mark}']"
    ),
    "new of what a module imported": (
        "evil: !new:speechbrain_can.alignment.words.Path ['{mark}']"
    ),
    "new through torch": "evil: !new:torch.nn.modules.module.torch.hub.load [x]",
    "name": "evil: !name:os.system\n    command: touch {mark}",
    "name through ours": "evil: !name:speechbrain_can.files.os.system",
    "module": "evil: !module:os",
    "applyref": "evil: !applyref:os.system [touch {mark}]",
    "include": "evil: !include:{outside}",
    "include with traversal": "evil: !include:../../outside.yaml",
    "python object": "evil: !!python/object/apply:os.system [touch {mark}]",
    "python name": "evil: !!python/name:os.system",
    "a tag of its own": "%TAG !n! !apply:os.\n---\nevil: !n!system [touch {mark}]",
    "verbatim tag": "evil: !<!apply:os.system> [touch {mark}]",
    "traversal": "pretrained_folder: ../../elsewhere",
    "a layer of terabytes": (
        "evil: !new:torch.nn.Linear [99999999999, 99999999999]"
    ),
    "a key": "? !apply:os.system [touch {mark}]\n: 1",
    "a private attribute": (
        "evil: !ref <compute_features.__init__.__globals__>"
    ),
    "no YAML": "evil: [",
}


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a model folder."""
    return shutil.copytree(trained / "fold_1" / "model", tmp_path / "model")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_settings_that_do_more_are_refused(folder, tmp_path, attack):
    mark = tmp_path / "pwned"
    outside = tmp_path / "outside.yaml"
    outside.write_text(f"a: !apply:os.system [touch {mark}]\n")
    path = folder / "hyperparams.yaml"
    text = attack.replace("{mark}", str(mark)).replace(
        "{outside}", str(outside)
    )
    own = path.read_text(encoding="utf-8")
    path.write_text(
        f"{text}\n{own}" if "---" in text else f"{own}\n{text}\n",
        encoding="utf-8",
    )
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")
    assert not mark.exists()


def test_the_line_is_named(folder):
    path = folder / "hyperparams.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, "evil: !module:os"]), encoding="utf-8")
    with pytest.raises(
        UntrustedError, match=f"line {len(lines) + 1}: !module:os"
    ):
        check_model_folder(path)


def test_who_trusts_a_folder_says_so(folder, tmp_path):
    mark = tmp_path / "ran"
    with open(folder / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write(f"\nharmless: !apply:os.mkdir ['{mark}']\n")
    EmotionRecognizer.from_hparams(
        folder, savedir=tmp_path / "saved", run_code_of_the_model_folder=True
    )
    assert mark.exists()


def test_overrides_are_the_callers(folder, tmp_path):
    recognizer = EmotionRecognizer.from_hparams(
        folder, savedir=tmp_path / "saved", overrides={"whisper": "../tiny"}
    )
    assert recognizer.hparams.whisper == "../tiny"


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize(
    "name", ["model.ckpt", "normalize.ckpt", "label_encoder.ckpt"]
)
@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_pickles_do_not_run(folder, tmp_path, name, save):
    mark = tmp_path / "pwned"
    if save == "torch":
        torch.save({"weight": Evil(mark)}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises((RuntimeError, ValueError, pickle.UnpicklingError)):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")
    assert not mark.exists()


def test_parameters_that_unpack_to_terabytes_are_refused(folder, monkeypatch):
    monkeypatch.setattr(
        "speechbrain_can.inference.trust.LARGEST_PARAMETERS", 10**6
    )
    with zipfile.ZipFile(
        folder / "model.ckpt", "w", zipfile.ZIP_DEFLATED
    ) as archive:
        archive.writestr("archive/data.pkl", bytes(2 * 10**6))
    assert (folder / "model.ckpt").stat().st_size < 10**5
    with pytest.raises(UntrustedError, match="once unpacked"):
        check_model_folder(folder / "hyperparams.yaml")
