"""Untrusted model folders either build a model or are refused; they cannot execute code."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from helpers.recipes import ROOT

from speechbrain_can.alignment.words import Word
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.memory import LimitedMemory
from speechbrain_can.model_folder.parameters import PACKED, save_network
from speechbrain_can.model_folder.trust import UntrustedError, check_settings
from speechbrain_can.model_folder.write import prediction_settings
from speechbrain_can.settings.hparams import read_settings

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
    "a part of torch that imports": (
        "evil: !new:torch.nn.attention._fa3._fa3_import_module [evil]"
    ),
    "a function of torch that changes all parts": (
        "evil: !name:torch.nn.modules.module.register_module_forward_hook"
    ),
    "a private part": ("evil: !name:torch.nn.modules.module._addindent"),
    "name": "evil: !name:os.system\n    command: touch {mark}",
    "name through ours": "evil: !name:speechbrain_can.io.files.os.system",
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
    "code of a model on the hub": (
        "evil: !name:speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2\n"
        "    source: someone/evil\n    trust_remote_code: True"
    ),
    "the same by a reference": (
        "key: trust_remote_code\n"
        "evil: !name:speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2\n"
        "    ? !ref <key>\n    : True"
    ),
    "settings of another folder": (
        "evil: !new:speechbrain_can.encoders.ctc.SpeechBrainCTC [evil]"
    ),
    "a part that unpickles": (
        "evil: !new:speechbrain.lobes.models.MSTacotron2.TextMelCollate [evil]"
    ),
    "a part that writes files": (
        "evil: !name:speechbrain_can.alignment.writers.write_textgrid"
    ),
    "a key": "? !apply:os.system [touch {mark}]\n: 1",
    "a private attribute": (
        "evil: !ref <compute_features.__init__.__globals__>"
    ),
    "a private attribute in pieces": (
        "evil: [!new:torch.nn.ReLU {}]\nl: '<evil.'\nr: '__class__>'\n"
        "b: !ref <l><r>"
    ),
    "a private attribute of an item": (
        "a: !new:torch.nn.ReLU {}\nevil: {b: !ref <a.__init__>}"
    ),
    "a private attribute without !ref": (
        "a: !new:torch.nn.ReLU {}\nx: <a.__init__>\nevil: !ref <x>"
    ),
    "a frame of a generator": (
        "linear: !new:torch.nn.Linear [1, 1]\n"
        "evil: !new:speechbrain.lobes.models.ECAPA_TDNN.TDNNBlock\n"
        "    in_channels: 1\n    out_channels: 1\n    kernel_size: 1\n"
        "    dilation: 1\n    activation: !ref <linear.parameters>\n"
        "generator: !ref <evil.activation>\n"
        "frame: !ref <generator.gi_frame>\nbuiltins: !ref <frame.f_builtins>"
    ),
    "a path that writes": (
        "words: !new:speechbrain_can.lobes.subwords.SubwordEmbedding\n"
        "    model_folder: {mark}\n    vocab_size: 9\n    embedding_size: 9\n"
        "place: !ref <words.model_folder>\n"
        "evil: !new:speechbrain.lobes.models.ECAPA_TDNN.TDNNBlock\n"
        "    in_channels: 1\n    out_channels: 1\n    kernel_size: 1\n"
        "    dilation: 1\n    activation: !ref <place.touch>"
    ),
    "a model that is unpickled": (
        "evil: !new:speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2\n"
        "    source: someone/evil\n    save_path: .\n    weights_only: false"
    ),
    "words of a model that is unpickled": (
        "evil: !name:speechbrain_can.encoders.whisper.TrimmedWhisper\n"
        "    source: someone/evil\n    weights_only: false"
    ),
    "a tuple": "evil: (!!python/object/apply:os.system [touch {mark}])",
    "a tuple with its tag": (
        "evil: !tuple (!!python/object/apply:os.system [touch {mark}])"
    ),
    "a tuple in quotes": (
        "evil: '(!!python/object/apply:os.system [touch {mark}])'"
    ),
    "a tuple of references": (
        "l: '(!!python/object/apply:os.system'\nr: '[touch {mark}])'\n"
        "evil: !ref <l> <r>"
    ),
    "a tuple around references": (
        "l: '!!python/object/apply:os.system'\nevil: !ref (<l> [touch {mark}])"
    ),
    "a tuple that is a list": (
        "evil: !tuple [!!python/object/apply:os.system [touch {mark}]]"
    ),
    "a text that doubles forty times": "\n".join(
        [
            "a0: xxxxxxxx",
            *(f"a{i}: !ref <a{i - 1}><a{i - 1}>" for i in range(1, 40)),
        ]
    ),
    "a text that goes round": "a: !ref x<b>\nb: !ref x<a>",
    "copies that double forty times": "\n".join(
        [
            "a0: [1]",
            *(
                f"a{i}: [!copy <a{i - 1}>, !copy <a{i - 1}>]"
                for i in range(1, 40)
            ),
        ]
    ),
    "a list in a text": ("a: &a [1, 2]\nb: &b [*a, *a]\nevil: !ref x<b>"),
    "a power of a power": "a: 9\nevil: !ref <a> ** 9 ** 9",
    "a power in pieces": "l: 9*\nr: '*9'\nevil: !ref <l><r>",
    "a power in pieces of references": (
        "l: !ref 9*\nm: !ref '*9*'\nn: !ref '*99999999'\nevil: !ref <l><m><n>"
    ),
    "a power around nothing": "l: ''\nn: 9\nevil: !ref <n> *<l>* <n>",
    "a number for a key": "1: x\n'1': !ref <evil>\nevil: 1",
    "copies of a copy": (
        "a: [1]\nb: [&c !copy <a>, *c, *c]\nevil: [&d !copy <b>, *d, *d]"
    ),
    "lists of a list": "a: &a [1, 1]\nb: &b [*a, *a]\nevil: [*b, *b]",
    "a merged mapping": "a: &a {b: 1}\nevil: {<<: *a}",
    "texts of texts without !ref": (
        "a: x\nb: <a><a>\nc: <b><b>\nevil: !ref <c>"
    ),
    "a number of layers in another spelling": "evil: 0x7fffffffffff",
    "a broken number of layers": "evil: 1.0e+12",
    "lists in lists": f"evil: {'[' * 3000}{']' * 3000}",
    "a reference to nothing": "evil: !ref <nothing>",
    "a key twice": "evil: 1\nevil: 2",
    "a number that is none": "evil: !!int foo",
    "two documents": "evil: 1\n---\nevil: 2",
    "no YAML": "evil: [",
}


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a model folder."""
    return shutil.copytree(trained / "fold_1" / "model", tmp_path / "model")


@pytest.mark.attack
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_disallowed_settings_are_refused(folder, tmp_path, attack):
    mark = tmp_path / "pwned"
    outside = tmp_path / "outside.yaml"
    outside.write_text(f"a: !apply:os.system [touch {mark}]\n")
    path = folder / "hyperparams.yaml"
    text = attack.replace("{mark}", str(mark)).replace(
        "{outside}", str(outside)
    )
    own = path.read_text(encoding="utf-8")
    path.write_text(
        f"{text}\n{own}" if "%TAG" in text else f"{own}\n{text}\n",
        encoding="utf-8",
    )
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")
    assert not mark.exists()


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "recipes").glob("*/*/hparams/**/*.yaml")),
    ids=lambda path: str(path.relative_to(ROOT / "recipes")),
)
def test_every_model_of_the_recipes_is_allowed(path, tmp_path):
    settings = prediction_settings(read_settings(path), 1.0)
    (tmp_path / "hyperparams.yaml").write_text(settings, encoding="utf-8")
    check_settings(tmp_path / "hyperparams.yaml")
    with open(tmp_path / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write("\nevil: !module:os\n")
    with pytest.raises(UntrustedError, match="!module:os"):
        check_settings(tmp_path / "hyperparams.yaml")


def test_errors_name_the_line(folder):
    path = folder / "hyperparams.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, "evil: !module:os"]), encoding="utf-8")
    with pytest.raises(
        UntrustedError, match=f"line {len(lines) + 1}: !module:os"
    ):
        check_settings(path)


def test_trusted_folders(folder, tmp_path):
    mark = tmp_path / "ran"
    with open(folder / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write(f"\nharmless: !apply:os.mkdir ['{mark}']\n")
    EmotionRecognizer.from_hparams(
        folder, savedir=tmp_path / "saved", run_code_of_the_model_folder=True
    )
    assert mark.exists()


def test_overrides_are_trusted(folder, tmp_path):
    recognizer = EmotionRecognizer.from_hparams(
        folder, savedir=tmp_path / "saved", overrides={"whisper": "../tiny"}
    )
    assert recognizer.hparams.whisper == "../tiny"


@pytest.mark.attack
@pytest.mark.parametrize(
    "pretrainer",
    [
        "{loadables: {network: 1}, paths: {a: /etc/passwd}}",
        "{loadables: {network: 1}, custom_hooks: {a: !name:torch.nn.Linear}}",
        "{loadables: {/etc/passwd: 1}}",
        "{loadables: {a/b: 1}}",
        "{loadables: {network: 1, extra: 2}}",
        "{loadables: [a]}",
        "[null, {a: 1}, {a: /etc/passwd}]",
        "{}",
    ],
)
def test_pretrainer_loads_only_adjacent_files(folder, pretrainer):
    """A key of a different name, because only this one must be refused."""
    name = "speechbrain_can.model_folder.read.PackedPretrainer"
    path = folder / "hyperparams.yaml"
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(f"\nother: !new:{name} {pretrainer}\n")
    with pytest.raises(UntrustedError, match="pretrainer"):
        check_settings(path)


@pytest.mark.attack
@pytest.mark.parametrize(
    "text", [b"", b"- 1", b"a: \xff", b"\xff\xfe", b"a: 1"]
)
def test_invalid_yaml_is_named(folder, text):
    (folder / "hyperparams.yaml").write_bytes(text)
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder)


def test_allowed_settings(folder):
    path = folder / "hyperparams.yaml"
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(
            "\nsize: 128\ntwice: !ref <size> * 2\nkernel: (3, 3)\n"
            "first: !new:torch.nn.Linear [!ref <size>, !ref <twice>]\n"
            "second: !copy <first>\nwide: !ref <first.out_features>\n"
            "place: results/pretrained\ntokens: !ref <place>/<size>-1\n"
            "revised: !ref <place>@<size>\nsum: !ref (<size> + 2) * <twice>\n"
            "unknown: <unk>\narrow: a -> b\nmask: -1.0e+9\nmost: .inf\n"
        )
    recognizer = EmotionRecognizer.from_hparams(folder)
    assert recognizer.hparams.wide == 256
    assert recognizer.hparams.kernel == (3, 3)
    assert recognizer.hparams.revised == "results/pretrained@128"
    assert recognizer.hparams.sum == 130 * 256
    assert recognizer.hparams.unknown == "<unk>"
    assert recognizer.hparams.mask == -1e9
    assert recognizer.hparams.tokens == "results/pretrained/128-1"
    assert recognizer.hparams.second is not recognizer.hparams.first


def test_paths_out_of_a_recipe_are_written_out(tmp_path):
    folder = ROOT / "recipes" / "EmoDB" / "multimodal_emotion_recognition"
    settings = read_settings(folder / "hparams/encoders/can_whisper.yaml")
    settings = settings.replaced({"audio_source": "../whisper"})
    text = prediction_settings(settings, 1.0)
    assert f"audio_source: {Path('../whisper').resolve()}\n" in text
    (tmp_path / "hyperparams.yaml").write_text(text, encoding="utf-8")
    check_settings(tmp_path / "hyperparams.yaml")
    assert "!PLACEHOLDER" not in text and "base:" not in text


@pytest.mark.attack
@pytest.mark.parametrize(
    "file, content",
    [
        ("label_encoder.ckpt", "-" * 100_000),
        ("label_encoder.ckpt", "'ang' => 1\n'sad' => 2\n"),
        ("label_encoder.ckpt", "[] => 0\n"),
        ("network.safetensors", ""),
    ],
)
def test_unrelated_files_are_reported(folder, file, content):
    own = (folder / PACKED).read_bytes()
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=str(folder)):
        EmotionRecognizer.from_hparams(folder)
    # also without checksums of the other files
    (folder / PACKED).write_bytes(own.replace(b'"files"', b'"fales"'))
    if file != PACKED:
        with pytest.raises(InputError, match=str(folder)):
            EmotionRecognizer.from_hparams(folder)


def test_damage_is_not_a_matter_of_trust(folder):
    content = (folder / PACKED).read_bytes()
    (folder / PACKED).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="is damaged") as told:
        EmotionRecognizer.from_hparams(folder)
    assert "run_code_of_the_model_folder" not in str(told.value)


def test_non_finite_weights_are_refused(folder, tmp_path):
    recognizer = EmotionRecognizer.from_hparams(folder)
    network = torch.nn.ModuleDict(
        {name: recognizer.mods[name] for name in ("normalize", "model")}
    )
    for parameter in network.parameters():
        parameter.data.fill_(torch.nan)
    save_network(network, folder / PACKED)
    damaged = EmotionRecognizer.from_hparams(folder)
    waveform = torch.rand(1, damaged.sample_rate) - 0.5
    words = [Word("oh", 0.2, 0.5), Word("no", 0.5, 0.8)]
    with pytest.raises(InputError, match="non-finite values"):
        damaged.classify_batch(waveform, alignments=[words])


class Evil:
    """Object that writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_a_savedir_of_another_model_is_refused(trained, folder, tmp_path):
    saved = tmp_path / "saved"
    for _ in range(2):
        EmotionRecognizer.from_hparams(
            trained / "fold_1" / "model", savedir=saved
        )
    network = EmotionRecognizer.from_hparams(folder).hparams.network
    for parameter in network.parameters():
        parameter.data.fill_(0.5)
    save_network(network, folder / PACKED)
    with pytest.raises(InputError, match="a different model.*another savedir"):
        EmotionRecognizer.from_hparams(folder, savedir=saved)


@pytest.mark.attack
@pytest.mark.parametrize(
    "name", [PACKED, "label_encoder.ckpt", "hyperparams.yaml"]
)
@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_pickles_do_not_run(folder, tmp_path, name, save):
    refused_in(folder, tmp_path, name, save)


def refused_in(folder, tmp_path, name, save):
    mark = tmp_path / "pwned"
    if save == "torch":
        torch.save({"weight": Evil(mark)}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(
        InputError, match="cannot be read|damaged|invalid|bytes"
    ):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")
    assert not mark.exists()


@pytest.mark.attack
def test_large_parameter_files_are_refused(folder, monkeypatch):
    monkeypatch.setattr(
        "speechbrain_can.model_folder.trust.LARGEST_PARAMETERS", 1000
    )
    with pytest.raises(UntrustedError, match="network.safetensors has"):
        EmotionRecognizer.from_hparams(folder)


@pytest.mark.attack
@pytest.mark.parametrize(
    "layer",
    [
        # each number is allowed
        "!new:torch.nn.Linear [1000000, 1000000]",
        "!new:torch.nn.LSTM [100000, 100000]",
        "!new:torch.nn.Embedding [1000000, 1000000]",
        "!new:speechbrain.nnet.linear.Linear\n"
        "    input_size: 900000\n    n_neurons: 900000",
    ],
)
def test_huge_networks_are_refused(folder, tmp_path, layer):
    with open(folder / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write(f"\nhuge: {layer}\n")
    with pytest.raises(UntrustedError, match="a tensor of [0-9]+ bytes"):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")


@pytest.mark.attack
def test_networks_of_many_gibibytes_are_not_built(monkeypatch):
    monkeypatch.setattr(
        "speechbrain_can.model_folder.memory.LARGEST_NETWORK", 10**6
    )
    with pytest.raises(InputError, match="in total"), LimitedMemory():
        for _ in range(100):
            torch.nn.Linear(100, 100)


@pytest.mark.attack
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(10**6),
        lambda: torch.eye(1000),
        lambda: torch.ones(1).repeat(10**6),
        lambda: torch.hann_window(10**6),
        lambda: torch.ones(1).new_empty(10**6),
        lambda: torch.arange(1000.0)[:, None] * torch.arange(1000.0),
        lambda: torch.stack(torch.ones(1000).expand(1000, 1000).unbind()),
    ],
)
def test_large_tensors_are_refused(monkeypatch, make):
    monkeypatch.setattr(
        "speechbrain_can.model_folder.memory.LARGEST_TENSOR", 10**6
    )
    with LimitedMemory():
        # an expanded tensor takes no memory
        assert torch.ones(1).expand(10**9).numel() == 10**9
    with pytest.raises(InputError, match="a tensor of"), LimitedMemory():
        make()


@pytest.mark.attack
@pytest.mark.parametrize(
    "name", [PACKED, "hyperparams.yaml", "label_encoder.ckpt"]
)
def test_links_out_of_the_folder_are_refused(folder, tmp_path, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(UntrustedError, match=f"{name} is a link to"):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")


def test_links_of_the_hub_cache_are_allowed(folder, trained, tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    for path in (snapshot, blobs):
        path.mkdir(parents=True)
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(i))
        (snapshot / path.name).symlink_to(blobs / str(i))
    recognizer = EmotionRecognizer.from_hparams(
        snapshot, savedir=tmp_path / "saved"
    )
    original = EmotionRecognizer.from_hparams(trained / "fold_1" / "model")
    expected = original.mods.state_dict()
    found = recognizer.mods.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value), name


@pytest.mark.attack
def test_folder_shadows_hub_model(folder, tmp_path, monkeypatch):
    """SpeechBrain prefers the folder, which is checked like any other."""
    place = tmp_path / "speechbrain" / "can-iemocap"
    shutil.copytree(folder, place)
    with open(place / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write(f"\nevil: !apply:os.mkdir ['{tmp_path / 'pwned'}']\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UntrustedError, match="!apply:os.mkdir"):
        EmotionRecognizer.from_hparams("speechbrain/can-iemocap")
    assert not (tmp_path / "pwned").exists()
