import re

import pytest
import ruamel.yaml
import torch
from helpers.networks import MODELS
from helpers.recipes import PAIRS, RECIPES, ROOT, SYSTEMS
from hyperpyyaml import load_hyperpyyaml

from speechbrain_can.features.segments import whole_utterance
from speechbrain_can.hparams import (
    SettingsError,
    check_settings,
    load_hparams,
    read_hparams,
    requested_fold,
)
from speechbrain_can.lobes.attention import GlobalAttention

# What each says otherwise than can.yaml, beside its output folder ...
OWN_KEYS = {
    "text_model": {"audio_encoder", "fusion", "classifier", "model"},
    "audio_model": {
        *("segment", "embedding", "text_encoder", "audio_encoder"),
        *("fusion", "classifier", "model"),
    },
    "multi_hop": {
        *("hops", "segment", "audio_encoder", "fusion", "classifier", "model"),
    },
    "learned_alignment": {
        *("segment", "audio_encoder", "fusion", "classifier", "model"),
    },
    "equal_segmentation": {"segment"},
    "no_stop_gradient": {"stop_gradient"},
    "no_align_loss": {"align_weight"},
    "no_stop_gradient_no_align_loss": {"stop_gradient", "align_weight"},
    "no_cross_attention": {"classifier"},
}
# ... and what is built of it where it is not as in CAN.
CAN = {
    "model": "CrossAttentionNetwork",
    "segment": "aligned_segments",
    "fusion": "CrossAttention",
    "heads": 4,
    "stop_gradient": True,
    "classifier": "CrossClassifier",
    "weights": {"joint": 1.0, "text": 0.1, "audio": 0.1},
    "audio": "WordFrameBLSTM",
}
JOINT_ALONE = {"joint": 1.0, "text": 0.0, "audio": 0.0}
SINGLE = {
    "fusion": "GlobalAttention",
    "heads": 1,
    "stop_gradient": None,
    "classifier": "Linear",
    "weights": None,
}
BUILT = {
    "can": {},
    "text_model": {**SINGLE, "model": "TextModel", "audio": "NoneType"},
    "audio_model": {
        **SINGLE,
        "model": "AudioModel",
        "segment": "whole_utterance",
        "audio": "UtteranceFrameBLSTM",
    },
    "multi_hop": {
        **SINGLE,
        "model": "MultiHopNetwork",
        "segment": "whole_utterance",
        "fusion": "MultiHopAttention",
        "heads": None,
        "audio": "UtteranceFrameBLSTM",
    },
    "learned_alignment": {
        **SINGLE,
        "model": "LearnedAlignmentNetwork",
        "segment": "whole_utterance",
        "fusion": "LearnedAlignment",
        "heads": None,
        "classifier": "WordPairClassifier",
        "audio": "UtteranceFrameBLSTM",
    },
    "equal_segmentation": {"segment": "equal_segments"},
    "no_stop_gradient": {"stop_gradient": False},
    "no_align_loss": {"weights": JOINT_ALONE},
    "no_stop_gradient_no_align_loss": {
        "stop_gradient": False,
        "weights": JOINT_ALONE,
    },
    "no_cross_attention": {
        "classifier": "UncrossedClassifier",
        "weights": None,
    },
}
EVERY_HPARAMS = sorted(ROOT.glob("recipes/*/*/hparams/**/*.yaml"))
HPARAMS = [path for path in EVERY_HPARAMS if path.stem in SYSTEMS]
IDS = [f"{path.parts[-4]}-{path.stem}" for path in HPARAMS]


@pytest.mark.parametrize(
    "path",
    EVERY_HPARAMS,
    ids=lambda path: str(path.relative_to(ROOT / "recipes")),
)
def test_every_key_is_used(path):
    """Upstream checks the same of its recipes."""
    text = read_hparams(path).read()
    recipe = ROOT.joinpath(*path.relative_to(ROOT).parts[:3])
    code = "".join(
        file.read_text()
        for folder in (recipe, ROOT / "speechbrain_can")
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
    top.write_text("base: c.yaml\n")
    with pytest.raises(SettingsError, match="its own base"):
        read_hparams(top)
    top.write_text("base: nowhere.yaml\n")
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        read_hparams(top)


def test_both_recipes_have_every_system_of_the_paper():
    encoders = {
        "IEMOCAP": PAIRS,
        "EmoDB": ["can_ecapa", "can_egemaps", "can_mfcc_sentencepiece"],
    }
    for name, recipe in RECIPES.items():
        found = [path.stem for path in (recipe / "hparams").rglob("*.yaml")]
        assert sorted(found) == sorted([*SYSTEMS, *encoders[name]])


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


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_each_file_builds_the_system_of_its_name(path, tmp_path):
    own = ruamel.yaml.YAML().load(path)
    if path.stem != "can":
        assert own.pop("base") == "can.yaml"
        folder = own.pop("output_folder").value
        assert folder == f"results/{path.stem}/<seed>"
        assert set(own) == OWN_KEYS[path.stem]
    hparams = load_hparams(path, f"data_folder: x\noutput_folder: {tmp_path}")
    segment, fusion = hparams["segment"], hparams["fusion"]
    function = getattr(segment, "func", segment)
    query = [
        module.query.shape[0]
        for module in fusion.modules()
        if isinstance(module, GlobalAttention)
    ]
    built = {
        "model": type(hparams["model"]).__name__,
        "segment": function.__name__,
        "fusion": type(fusion).__name__,
        "heads": query[0] if query else None,
        "stop_gradient": getattr(fusion, "stop_gradient", None),
        "classifier": type(hparams["classifier"]).__name__,
        "weights": getattr(hparams["classifier"], "weights", None),
        "audio": type(hparams["audio_encoder"]).__name__,
    }
    assert built == {**CAN, **BUILT[path.stem]}
    assert len(set(query)) <= 1
    if function is not whole_utterance:
        assert segment.keywords == {"overlap": 0.1}
    if path.stem == "multi_hop":
        assert len(fusion.projections) == 3
    # what was built is what is trained
    parts = set(hparams["model"].children())
    for key in ("text_encoder", "audio_encoder", "fusion", "classifier"):
        assert hparams[key] is None or hparams[key] in parts


def test_the_paper_has_the_last_word(tmp_path):
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    with open(path, encoding="utf-8") as stream:
        hparams = load_hyperpyyaml(
            stream, {"fold": 0, "output_folder": str(tmp_path)}
        )
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
    # until a fold is begun nothing is bound
    check_settings(folder, path, "lr: 0.5")
    check_settings(folder, path, "fold: 3")
    (folder / "fold_3").mkdir()
    path.write_text("fold: all\nlr: 0.1\n\nsize: 3  # another comment\n")
    check_settings(folder, path, "")
    with pytest.raises(SettingsError) as error:
        check_settings(folder, path, "lr: 0.2\nfold: 1")
    assert "- lr: 0.1\n+ lr: 0.2\nGive another" in str(error.value)


@pytest.mark.parametrize("name", RECIPES)
def test_extra_requirements(name):
    lines = (RECIPES[name] / "extra_requirements.txt").read_text().split()
    assert lines and all(">=" in line for line in lines)
