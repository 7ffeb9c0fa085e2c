import re

import pytest
import ruamel.yaml
import torch
from click.testing import CliRunner
from helpers.networks import MODELS
from helpers.recipes import PAIRS, RECIPES, ROOT, SYSTEMS, WHISPER
from hyperpyyaml import load_hyperpyyaml

from speechbrain_can.__main__ import main
from speechbrain_can.features.segments import whole_utterance
from speechbrain_can.lobes.attention import GlobalAttention
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.results import check_settings_of_run
from speechbrain_can.settings.hparams import (
    SettingsError,
    read_settings,
    write_settings,
)
from speechbrain_can.training.fold import AUGMENTERS

# Keys of each file that differ from can.yaml, without output_folder
OWN_KEYS = {
    "text_model": {"audio_encoder", "fusion", "classifier"},
    "audio_model": {
        *("segment", "embedding", "text_encoder", "audio_encoder"),
        *("fusion", "classifier"),
    },
    "multi_hop": {
        *("hops", "segment", "audio_encoder", "fusion", "classifier"),
    },
    "learned_alignment": {
        *("segment", "audio_encoder", "fusion", "classifier"),
    },
    "equal_segmentation": {"segment"},
    "no_stop_gradient": {"stop_gradient"},
    "no_align_loss": {"align_weight"},
    "no_stop_gradient_no_align_loss": {"stop_gradient", "align_weight"},
    "no_cross_attention": {"classifier"},
}
# Objects of each file that differ from CAN
CAN = {
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
    "heads": 1,
    "stop_gradient": None,
    "classifier": "SingleClassifier",
    "weights": None,
}
BUILT = {
    "can": {},
    "text_model": {**SINGLE, "fusion": "TextAttention", "audio": "NoneType"},
    "audio_model": {
        **SINGLE,
        "fusion": "AudioAttention",
        "segment": "whole_utterance",
        "audio": "UtteranceFrameBLSTM",
    },
    "multi_hop": {
        **SINGLE,
        "segment": "whole_utterance",
        "fusion": "MultiHopAttention",
        "heads": None,
        "audio": "UtteranceFrameBLSTM",
    },
    "learned_alignment": {
        **SINGLE,
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
    """SpeechBrain checks the same for its recipes."""
    text = read_settings(path).text
    recipe = ROOT.joinpath(*path.relative_to(ROOT).parts[:3])
    code = "".join(
        file.read_text()
        for folder in (recipe, ROOT / "speechbrain_can")
        for file in folder.rglob("*.py")
    )
    for key, value in ruamel.yaml.YAML().load(path.read_text()).items():
        in_yaml = re.search(rf"<{key}[>.\[]", text)
        in_code = re.search(
            rf"hparams\[[\"']{key}[\"']|hparams\.{key}\b|self.hparams, \"{key}|"
            rf"settings\[\"{key}|value\(\"{key}|hparams\.get\(\"{key}\"",
            code,
        )
        # read by sb.Brain, evaluated for its effect, or removed with the base
        elsewhere = key in ("max_grad_norm", "__set_seed", "base", "fold")
        elsewhere = elsewhere or (value is None and path.stem != "can")
        elsewhere = elsewhere or key in AUGMENTERS
        assert in_yaml or in_code or elsewhere, key


def test_a_file_replaces_keys_of_its_base(tmp_path):
    base, top = (tmp_path / f"{n}.yaml" for n in "ab")
    base.write_text(
        "fold: 0\nsize: 3\npart: !name:torch.nn.Linear\n    in_features: 3\n"
        "more: !ref <size>\n"
    )
    top.write_text("base: a.yaml\nsize: 4\npart: !name:torch.nn.GRU\n")
    hparams = read_settings(top).build()
    # replaced completely, including the arguments of the base
    assert hparams["part"] is torch.nn.GRU
    assert hparams["size"] == hparams["more"] == 4
    assert read_settings(top, "size: 5").build()["more"] == 5
    assert read_settings(top, {"fold": 2}).of_fold(3).build()["fold"] == 3
    # the output is plain HyperPyYAML
    assert load_hyperpyyaml(read_settings(top).text)["more"] == 4


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("base: b.yaml\n", SettingsError, "b.yaml is its own base"),
        ("base: c.yaml\n", SettingsError, "b.yaml is its own base"),
        (
            "base: nowhere.yaml\n",
            SettingsError,
            "nowhere.yaml does not exist. .* contains a.yaml, b.yaml",
        ),
        (
            "base: a.yaml\nstop_gradiant: False\n",
            SettingsError,
            "b.yaml: unknown key stop_gradiant. Did you mean stop_gradient",
        ),
        ("base: a.yaml\nqqq: 1\n", SettingsError, "unknown key qqq"),
    ],
)
def test_unknown_keys_and_circular_bases_are_refused(
    text, error, message, tmp_path
):
    (tmp_path / "a.yaml").write_text("fold: 0\nstop_gradient: True\n")
    (tmp_path / "b.yaml").write_text(text)
    (tmp_path / "c.yaml").write_text("base: b.yaml\n")
    with pytest.raises(error, match=message):
        read_settings(tmp_path / "b.yaml")


def test_a_base_may_have_a_base(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "fold: 0\nseed: 1\nlr: 1\nclasses: 1\nbatch_size: !ref <lr>\n"
    )
    (tmp_path / "b.yaml").write_text("base: a.yaml\nseed: 2\nlr: 2\n")
    (tmp_path / "c.yaml").write_text("base: b.yaml\nseed: 3\n")
    found = read_settings(tmp_path / "c.yaml").plain()
    assert (found["seed"], found["lr"], found["classes"]) == (3, 2, 1)
    assert found["batch_size"] == 2


def test_keys_named_in_code_are_known(tmp_path):
    (tmp_path / "a.yaml").write_text("fold: 0\nsize: 3\n")
    (tmp_path / "b.yaml").write_text(
        "base: a.yaml\nmine: 1\nsize: !ref <mine>\nprecision: bf16\n"
        "fine_tuned: null\n"
    )
    assert read_settings(tmp_path / "b.yaml").build()["size"] == 1


def test_keys_of_a_complete_file_are_known_too(tmp_path):
    path = tmp_path / "can.yaml"
    text = (RECIPES["IEMOCAP"] / "hparams" / "can.yaml").read_text()
    path.write_text(text + "stop_gradiant: False  # not <stop_gradiant>\n")
    with pytest.raises(SettingsError, match="Did you mean stop_gradient"):
        read_settings(path)
    # keys that the code of the recipe reads are known
    (tmp_path / "train.py").write_text('hparams["stop_gradiant"]')
    assert "stop_gradiant" in read_settings(path).text


def test_a_missing_data_folder_is_named():
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    with pytest.raises(SettingsError, match="data_folder is not set. Pass"):
        read_settings(path).plain()


def test_an_override_of_an_unknown_key_is_refused():
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    with pytest.raises(SettingsError, match="Did you mean glove_file"):
        read_settings(path, "glove: x.txt")


def test_these_recipes_have_every_system_of_the_paper():
    encoders = {
        "IEMOCAP": PAIRS,
        "EmoDB": ["can_ecapa", "can_egemaps", "can_mfcc_sentencepiece"],
        "ControlledCorpus": [],
    }
    more = {
        "IEMOCAP": [
            *WHISPER,
            "can_best",
            "can_small_data",
            "can_fast",
            "can_dimensions",
        ],
        "EmoDB": [
            *WHISPER,
            *("can_whisper_egemaps", "can_best", "emodb_whisper_base"),
            "can_small_data",
        ],
        "ControlledCorpus": [
            *("can_best", "can_best_adapted", "can_best_egemaps"),
            *("text_best", "audio_best", "can_dimensions"),
        ],
    }
    for name, recipe in RECIPES.items():
        found = [path.stem for path in (recipe / "hparams").rglob("*.yaml")]
        every = [*SYSTEMS, *encoders[name], *more[name]]
        assert sorted(found) == sorted(every)


def test_a_file_of_encoders_is_the_same_in_every_recipe():
    """Except for the language of the text."""
    texts = {}
    for path in sorted(ROOT.glob("recipes/*/*/hparams/encoders/*.yaml")):
        texts.setdefault(path.name, set()).add(path.read_text())
    differ = {name for name, found in texts.items() if len(found) > 1}
    assert differ <= {
        "can_whisper_roberta.yaml",
        "can_whisper_decoder.yaml",
    } | {"can_mfcc_sentencepiece.yaml"}


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_only_the_data_folder_is_a_placeholder(path):
    for line in path.read_text().splitlines():
        if "!PLACEHOLDER" in line:
            assert line.startswith("data_folder:")


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_every_file_builds(path, tmp_path):
    overrides = f"data_folder: x\nclasses: 7\noutput_folder: {tmp_path}"
    settings = read_settings(path, overrides)
    assert settings.fold == "all"
    hparams = settings.build()
    parameters = sum(p.numel() for p in hparams["model"].parameters())
    embedding = 0 if path.stem == "audio_model" else 300
    assert parameters == embedding + MODELS[SYSTEMS[path.stem]][2]
    assert hparams["opt_class"](hparams["model"].parameters())
    assert hparams["fold_folder"] == f"{tmp_path}/fold_0"


@pytest.mark.parametrize("path", HPARAMS, ids=IDS)
def test_each_file_builds_the_system_of_its_name(path, tmp_path):
    own = ruamel.yaml.YAML().load(path)
    if "ControlledCorpus" in path.parts:
        systems, corpus = own.pop("base")
        assert systems.endswith(f"/{path.name}") and not own
        assert corpus == "../corpus.yaml"
    elif path.stem != "can":
        assert own.pop("base") == "can.yaml"
        folder = own.pop("output_folder").value
        assert folder == f"results/{path.stem}/<seed>"
        assert set(own) == OWN_KEYS[path.stem]
    hparams = read_settings(
        path, f"data_folder: x\noutput_folder: {tmp_path}"
    ).build()
    segment, fusion = hparams["segment"], hparams["fusion"]
    function = getattr(segment, "func", segment)
    query = [
        module.query.shape[0]
        for module in fusion.modules()
        if isinstance(module, GlobalAttention)
    ]
    built = {
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
    # the built model is the trained one
    parts = set(hparams["model"].children())
    for key in ("text_encoder", "audio_encoder", "fusion", "classifier"):
        assert hparams[key] is None or hparams[key] in parts


def test_can_has_the_settings_of_the_paper(tmp_path, monkeypatch):
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    monkeypatch.syspath_prepend(RECIPES["IEMOCAP"])
    with open(path, encoding="utf-8") as stream:
        hparams = load_hyperpyyaml(
            stream,
            {"fold": 0, "data_folder": "x", "output_folder": str(tmp_path)},
        )
    expected = {
        "classes": 7,
        "protocol": "random10",
        "patience": 10,
        "stop_on": "WA",
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


@pytest.mark.parametrize(
    "fold, expected",
    [("0,2", [0, 2]), ("[2, 0]", [2, 0]), ("3", 3), ("all", "all")],
)
def test_several_folds_can_be_selected(fold, expected):
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    settings = read_settings(path, f"fold: {fold}\ndata_folder: x")
    assert settings.fold == expected
    asked = expected if isinstance(expected, list) else [3]
    if expected != "all":
        assert settings.asked_folds(5) == asked
    assert settings.build()["fold"] == (3 if expected == 3 else 0)


def test_a_missing_file_is_an_error_that_lists_others():
    path = RECIPES["IEMOCAP"] / "hparams" / "can_whisperer.yaml"
    with pytest.raises(SettingsError) as error:
        read_settings(path)
    assert "can.yaml, " in str(error.value)
    assert "encoders/can_whisper.yaml" in str(error.value)
    with pytest.raises(SettingsError, match="Did you mean can_best.yaml"):
        read_settings(path.with_name("can_bets.yaml"))


@pytest.mark.parametrize("fold", ["ten", "[]", "0.5", "0,0", "[0, x]", "-1"])
def test_invalid_folds_are_refused(fold):
    path = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
    settings = read_settings(path, f"fold: {fold}")
    with pytest.raises(SettingsError, match="'all', or 'none'"):
        assert settings.fold is None


def test_an_output_folder_is_bound_to_its_settings(tmp_path):
    path, folder = tmp_path / "hparams.yaml", tmp_path / "results"
    path.write_text(
        "# a comment\nfold: all\nlr: 0.1  # high\nbatch_size: !ref <lr>\n"
    )

    def check(overrides=""):
        check_settings_of_run(RunLayout(folder), read_settings(path, overrides))

    check()
    write_settings(folder, read_settings(path))
    # settings may change until a fold is started
    check("lr: 0.5")
    (folder / "fold_3").mkdir()
    check("lr: 0.5")
    write_settings(folder / "fold_3", read_settings(path))
    path.write_text(
        "fold: all\nlr: 0.1\n\nbatch_size: !ref <lr>  # another comment\n"
    )
    check()
    check("fold: 3")
    with pytest.raises(SettingsError) as error:
        check("lr: 0.2\nfold: 1")
    message = str(error.value)
    assert "- lr: 0.1\n+ lr: 0.2\n" in message
    assert "+ batch_size: 0.2\nPass another" in message


def test_the_command_prints_what_plain_hyperpyyaml_builds(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(RECIPES["IEMOCAP"])
    path = RECIPES["IEMOCAP"] / "hparams" / "no_stop_gradient.yaml"
    found = CliRunner().invoke(
        main,
        [
            *("hparams", str(path), f"--output_folder={tmp_path}"),
            *("--fold=0", "--data_folder=x"),
        ],
    )
    assert found.exit_code == 0
    assert "base:" not in found.output
    printed = load_hyperpyyaml(found.output)
    ours = read_settings(
        path, f"output_folder: {tmp_path}\nfold: 0\ndata_folder: x"
    ).build()
    assert repr(printed["model"]) == repr(ours["model"])
    assert printed["fusion"].stop_gradient is False
    for parameter, other in zip(
        printed["model"].parameters(), ours["model"].parameters()
    ):
        assert torch.equal(parameter, other)


@pytest.mark.parametrize("name", ["EmoDB", "ControlledCorpus"])
def test_extra_requirements(name):
    lines = (RECIPES[name] / "extra_requirements.txt").read_text().split()
    assert lines and all(">=" in line for line in lines)


def test_train_is_the_same_file_in_every_recipe():
    """YAML names everything that is specific to a corpus."""
    paths = sorted((ROOT / "recipes").glob("*/*/train.py"))
    assert len(paths) >= len(RECIPES)
    (text,) = {path.read_text(encoding="utf-8") for path in paths}
    assert len(text.splitlines()) < 30
