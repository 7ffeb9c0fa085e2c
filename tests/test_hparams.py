import re

import pytest
import ruamel.yaml
import torch
from conftest import RECIPES, ROOT
from hyperpyyaml import load_hyperpyyaml
from test_models import MODELS

from speechbrain_can.experiment import (
    SettingsError,
    check_settings,
    load_hparams,
    read_hparams,
    requested_fold,
)

# hparams files of the paper's systems, and the models they build
SYSTEMS = {
    "can": "can",
    "text_model": "text_model",
    "audio_model": "audio_model",
    "multi_hop": "multi_hop_3",
    "learned_alignment": "learned_alignment",
    "equal_segmentation": "can",
    "no_stop_gradient": "no_stop_gradient",
    "no_align_loss": "no_align_loss",
    "no_stop_gradient_no_align_loss": "no_align_loss",
    "no_cross_attention": "no_cross_attention",
}
HPARAMS = sorted(ROOT.glob("recipes/*/*/hparams/*.yaml"))
IDS = [f"{path.parts[-4]}-{path.stem}" for path in HPARAMS]


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_every_key_is_used(path):
    """Upstream checks the same of its recipes."""
    text = read_hparams(path).read()
    code = "".join(
        file.read_text()
        for folder in (path.parents[1], ROOT / "speechbrain_can")
        for file in folder.rglob("*.py")
    )
    for key, value in ruamel.yaml.YAML().load(path.read_text()).items():
        in_yaml = re.search(rf"<{key}[>.\[]", text)
        in_code = re.search(rf"[\"']{key}[\"']|hparams\.{key}\b", code)
        # read by sb.Brain itself, for its effect, or taken out of the base
        elsewhere = key in ("max_grad_norm", "__set_seed") or value is None
        assert in_yaml or in_code or elsewhere, key


def test_a_file_replaces_keys_of_its_base(tmp_path):
    base, middle, top = (tmp_path / f"{n}.yaml" for n in "abc")
    base.write_text(
        "size: 3\npart: !name:torch.nn.Linear\n    in_features: 3\n"
    )
    middle.write_text("base: a.yaml\nsize: 4\n")
    top.write_text(
        "base: b.yaml\npart: !name:torch.nn.GRU\nmore: !ref <size>\n"
    )
    hparams = load_hyperpyyaml(read_hparams(top))
    # as a whole: nothing of the base's arguments is left over
    assert hparams["part"] is torch.nn.GRU
    assert hparams["size"] == hparams["more"] == 4
    hparams = load_hyperpyyaml(read_hparams(top), "size: 5")
    assert hparams["more"] == 5
    top.write_text("base: nowhere.yaml\n")
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        read_hparams(top)


def test_both_recipes_have_every_system_of_the_paper():
    for recipe in RECIPES.values():
        names = {path.stem for path in (recipe / "hparams").glob("*.yaml")}
        assert names == set(SYSTEMS)


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_only_the_data_folder_is_a_placeholder(path):
    for line in path.read_text().splitlines():
        if "!PLACEHOLDER" in line:
            assert line.startswith("data_folder:")


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_every_file_builds(path, tmp_path):
    overrides = f"data_folder: x\noutput_folder: {tmp_path}"
    hparams = load_hparams(path, overrides)
    assert requested_fold(path, overrides) == "all"
    parameters = sum(p.numel() for p in hparams["model"].parameters())
    embedding = 0 if path.stem == "audio_model" else 300
    assert parameters == embedding + MODELS[SYSTEMS[path.stem]][2]
    assert hparams["opt_class"](hparams["model"].parameters())
    assert hparams["fold_folder"] == f"{tmp_path}/fold_0"


def test_the_paper_has_the_last_word():
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    with open(path, encoding="utf-8") as stream:
        hparams = load_hyperpyyaml(stream, {"fold": 0, "output_folder": "x"})
    expected = {
        "classes": 7,
        "protocol": "random10",
        "patience": 10,
        "batch_size": 64,
        "lr": 0.001,
        "max_grad_norm": 1.0,
        "n_mfcc": 40,
        "overlap": 0.1,
        "embedding_size": 300,
        "hidden_size": 128,
        "dropout": 0.3,
        "heads": 4,
        "align_weight": 0.1,
    }
    assert {key: hparams[key] for key in expected} == expected


@pytest.mark.parametrize("fold", ["ten", "[1]", "0.5"])
def test_a_fold_is_a_number_or_all(fold, tmp_path):
    with pytest.raises(SettingsError, match="or 'all'"):
        load_hparams(
            RECIPES["IEMOCAP"] / "hparams" / "can.yaml",
            f"fold: {fold}\noutput_folder: {tmp_path}",
        )


def test_an_output_folder_is_bound_to_its_settings(tmp_path):
    path, folder = tmp_path / "hparams.yaml", tmp_path / "results"
    path.write_text("# a comment\nfold: all\nlr: 0.1  # high\nsize: 3\n")
    check_settings(folder, path, "")
    check_settings(folder, path, "fold: 3")
    path.write_text("fold: all\nlr: 0.1\n\nsize: 3  # another comment\n")
    check_settings(folder, path, "")
    with pytest.raises(SettingsError) as error:
        check_settings(folder, path, "lr: 0.2\nfold: 1")
    assert "- lr: 0.1\n+ lr: 0.2\nGive another" in str(error.value)


@pytest.mark.parametrize("name", RECIPES)
def test_extra_requirements(name):
    lines = (RECIPES[name] / "extra_requirements.txt").read_text().split()
    assert lines and all(">=" in line for line in lines)
