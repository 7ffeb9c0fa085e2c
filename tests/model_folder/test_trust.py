"""Untrusted settings either describe a model or are refused; they cannot execute code."""

import re
import shutil
from importlib.metadata import EntryPoint

import pytest
import torch
from helpers import plugin

from speechbrain_can.alignment.words import Word
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.model_folder.literal import UntrustedError, dump, parse
from speechbrain_can.model_folder.read import read_model

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
    "a run option": "device: cuda",
    "compilation": "compile: true\njit: true",
    "a precision": "precision: fp16",
    "another audio normalizer": "audio_normalizer: 1",
    "a part that nothing refers to": (
        "evil: !new:speechbrain_can.lobes.pooling.MeanPooling {input_size: 3}"
    ),
    "a layer that is not registered": (
        "embedding: !new:torch.nn.ConstantPad1d {padding: 99999, value: 0}"
    ),
    "positional arguments": (
        "evil: !new:speechbrain_can.lobes.pooling.MeanPooling [3]"
    ),
    "a copy": "evil: !copy <model>",
    "an attribute": "evil: !ref <compute_features.sample_rate>",
    "a sum": "evil: !ref <classes> + 1",
    "a reference to itself": (
        "evil: !new:speechbrain_can.lobes.mixup.Mixup {classifier: !ref <evil>}"
    ),
    "references in a circle": (
        "a: !new:speechbrain_can.lobes.mixup.Mixup {classifier: !ref <b>}\n"
        "b: !new:speechbrain_can.lobes.mixup.Mixup {classifier: !ref <a>}"
    ),
    "parts that double forty times": "\n".join(
        [
            "p0: !new:speechbrain_can.features.joined.JoinedFeatures {parts: []}",
            *(
                f"p{i}: !new:speechbrain_can.features.joined.JoinedFeatures "
                f"{{parts: [!ref <p{i - 1}>, !ref <p{i - 1}>]}}"
                for i in range(1, 40)
            ),
            "last: !new:speechbrain_can.features.joined.JoinedFeatures "
            "{parts: [!ref <p39>]}",
        ]
    ),
    "a control character": 'language: "\\e[2J"',
    "a bidirectional character": 'language: "\\u202e"',
    "a text of megabytes": f"language: {'x' * 2000}",
    "another pretrainer": (
        "pretrainer: !new:speechbrain_can.model_folder.read.PackedPretrainer\n"
        "    loadables: {network: !ref <network>, extra: !ref <model>}"
    ),
    "another label encoder": "label_encoder: !new:os.system {command: ls}",
}

# Values of the settings that are replaced, and the replacements
VALUES = {
    "a negative temperature": ("temperature: ", "temperature: -1.0\n#"),
    "no temperature": ("temperature: ", "temperature: 0.0\n#"),
    "an infinite temperature": ("temperature: ", "temperature: .inf\n#"),
    "a temperature that is a text": ("temperature: ", "temperature: 'x'\n#"),
    "one class": ("classes: ", "classes: 1\n#"),
    "another number of classes": ("n_classes: !ref <classes>", "n_classes: 3"),
    "a million classes": ("classes: ", "classes: 1000000\n#"),
    "a sample rate of gigahertz": (
        "sample_rate: 16000",
        "sample_rate: 999999937",
    ),
    "no sample rate": ("sample_rate: 16000", "sample_rate: 0"),
    "a sample rate that is a list": ("sample_rate: 16000", "sample_rate: [1]"),
    "an overlap of kilometers": ("overlap: 0.1", "overlap: 99999"),
    "a huge layer": ("hidden_size: 8", "hidden_size: 60000"),
    "a size over the limit": ("hidden_size: 8", "hidden_size: 99999999999"),
    "a negative size": ("hidden_size: 8", "hidden_size: -8"),
    "a size that is not a number": ("hidden_size: 8", "hidden_size: .nan"),
    "heads that do not divide": ("heads: 4", "heads: 1023"),
    "a text for a part": ("embedding: !new", "embedding: x\n        x: !new"),
    "an unknown argument": ("heads: 4", "heads: 4\n      weights_only: false"),
    "no modules": ("modules:", "modules: {}\nother:"),
    "only one module": ("  normalize: !new", "  normal: !new"),
    "a segment that is not callable": (
        "segment: !name",
        "segment: 3\nx: !name",
    ),
    "dropout over one": ("dropout: 0.3", "dropout: 3.0"),
    "a boolean size": ("hidden_size: 8", "hidden_size: true"),
}


def with_mark(attack, tmp_path):
    """Return the text of an attack and the file that it would create."""
    mark, outside = tmp_path / "pwned", tmp_path / "outside.yaml"
    outside.write_text(f"a: !apply:os.system [touch {mark}]\n")
    text = attack.replace("{mark}", str(mark))
    return text.replace("{outside}", str(outside)), mark


@pytest.mark.attack
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_disallowed_settings_are_refused(folder, tmp_path, attack):
    path = folder / "hyperparams.yaml"
    text, mark = with_mark(attack, tmp_path)
    own = path.read_text(encoding="utf-8")
    path.write_text(
        f"{text}\n{own}" if "%TAG" in text else f"{own}\n{text}\n",
        encoding="utf-8",
    )
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder, savedir=tmp_path / "saved")
    assert not mark.exists()


IN_PLACE = {k: v for k, v in ATTACKS.items() if v.startswith("evil: ")}


@pytest.mark.attack
@pytest.mark.parametrize("attack", IN_PLACE.values(), ids=IN_PLACE)
def test_disallowed_values_of_a_key_are_refused(folder, tmp_path, attack):
    """The same values, where they would be built."""
    path = folder / "hyperparams.yaml"
    text, mark = with_mark(attack, tmp_path)
    own = path.read_text(encoding="utf-8")
    (line,) = re.findall("^aligner: .*$", own, re.MULTILINE)
    path.write_text(own.replace(line, text.replace("evil: ", "aligner: ", 1)))
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder)
    assert not mark.exists()


HOP = "speechbrain_can.lobes.multi_hop.MultiHopAttention"
CTC = "speechbrain_can.encoders.ctc.HuggingFaceCTC"
WAV2VEC2 = "speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2"
EQUAL = "!new:speechbrain_can.alignment.aligners.equal.EqualSegments {}"
MFCC = "speechbrain_can.features.spectral.SegmentMFCC"
NORMALIZATION = "speechbrain_can.features.normalization.NoNormalization"
# Registered parts in the wrong place, with the wrong kind, or too large
PLACES = [
    ("aligner", f"!new:{WAV2VEC2} {{source: x, save_path: y}}"),
    ("aligner", f"!new:{HOP} {{input_size: 40000, hops: 1}}"),
    ("aligner", f"[{EQUAL}, {EQUAL}]"),
    ("aligner", EQUAL.replace("!new", "!name")),
    ("aligner", "5"),
    ("aligner", "abc"),
    ("aligner", f"!new:{MFCC} {{}}"),
    ("transcriber", EQUAL),
    ("transcriber", "abc"),
    ("compute_features", f"!new:{NORMALIZATION} {{}}"),
    ("compute_features", f"!name:{MFCC} {{}}"),
    ("compute_features", f"!new:{MFCC} {{sample_rate: 192000, n_mels: 1024}}"),
    ("compute_features", f"!new:{MFCC} {{win_length: 1000}}"),
    (
        "compute_features",
        "!new:speechbrain_can.features.joined.JoinedFeatures {parts: ["
        + ", ".join([f"!new:{MFCC} {{}}"] * 20)
        + "]}",
    ),
    (
        "compute_features",
        "!new:speechbrain_can.features.samples.SegmentSamples {}",
    ),
    ("segment", f"!new:{MFCC} {{}}"),
    ("modules", "{normalize: 5, model: 6}"),
    ("modules", f"{{normalize: {EQUAL}, model: !ref <aligner>}}"),
    (
        "modules",
        f"{{normalize: !new:{CTC} {{source: x, save_path: !new:{HOP} "
        f"{{input_size: 40000, hops: 1}}}}, model: !new:{NORMALIZATION} {{}}}}",
    ),
]


@pytest.mark.attack
@pytest.mark.parametrize("key, value", PLACES)
def test_parts_in_the_wrong_place_are_refused(folder, key, value):
    path = folder / "hyperparams.yaml"
    settings = parse(path.read_text(encoding="utf-8"), path)
    settings[key] = parse(f"x: {value}", path)["x"]
    path.write_text(dump(settings), encoding="utf-8")
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder)


CHAIN = [
    f"c{i}: !new:speechbrain_can.lobes.mixup.Mixup {{classifier: !ref <c{i + 1}>}}"
    for i in range(450)
]


@pytest.mark.attack
@pytest.mark.parametrize(
    "text, message",
    [
        ("a: " + "[" * 60_000, "too many brackets"),
        ("a: " + "{" * 60_000, "too many brackets"),
        ("- " * 30_000, "cannot be read as model settings"),
        ("\n".join(["aligner: !ref <c0>", *CHAIN]), "more than 100 keys"),
    ],
)
def test_nested_settings_are_refused(folder, text, message):
    """Parsing them would take minutes, or exceed the recursion limit."""
    (folder / "hyperparams.yaml").write_text(text)
    with pytest.raises(UntrustedError, match=f"hyperparams.yaml: .*{message}"):
        EmotionRecognizer.from_hparams(folder)


@pytest.mark.attack
def test_parts_that_do_not_fit_raise_an_input_error(folder):
    """Allowed settings whose parts do not fit each other."""
    path = folder / "hyperparams.yaml"
    settings = parse(path.read_text(encoding="utf-8"), path)
    changes = {
        "segment": "!name:speechbrain_can.features.segments.whole_utterance {}",
        "compute_features": f"!new:{MFCC} {{n_mfcc: 7}}",
    }
    for key, value in changes.items():
        changed = {**settings, key: parse(f"x: {value}", path)["x"]}
        path.write_text(dump(changed), encoding="utf-8")
        recognizer = EmotionRecognizer.from_hparams(folder)
        wavs = torch.rand(1, recognizer.sample_rate) - 0.5
        words = [[Word("oh", 0.2, 0.5), Word("no", 0.5, 0.8)]]
        with pytest.raises(InputError, match="model cannot process the input"):
            recognizer.classify_batch(wavs, alignments=words)


@pytest.mark.parametrize("source", ["a" * 5000, "a/" * 3000])
def test_long_sources_are_refused(source):
    with pytest.raises(InputError):
        EmotionRecognizer.from_hparams(source)


def test_keys_are_quoted():
    settings = dict.fromkeys(("1", "null", "~", "x: y", "On", "ü", "a-b"), 1)
    assert parse(dump(settings), "x") == settings


@pytest.mark.attack
@pytest.mark.parametrize("old, new", VALUES.values(), ids=VALUES)
def test_invalid_values_are_refused(folder, old, new):
    path = folder / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UntrustedError, match="hyperparams.yaml") as told:
        EmotionRecognizer.from_hparams(folder)
    assert "\n" not in str(told.value)


def test_errors_name_the_line(folder):
    path = folder / "hyperparams.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, "evil: !module:os"]), encoding="utf-8")
    with pytest.raises(
        UntrustedError, match=f"line {len(lines) + 1}: !module:os"
    ):
        read_model(folder)


def test_trusted_folders(folder, tmp_path):
    mark = tmp_path / "ran"
    with open(folder / "hyperparams.yaml", "a", encoding="utf-8") as stream:
        stream.write(f"\nharmless: !apply:os.mkdir ['{mark}']\n")
    EmotionRecognizer.from_hparams(
        folder, savedir=tmp_path / "saved", trust_model_code=True
    )
    assert mark.exists()


def test_overrides_are_trusted(folder):
    recognizer = EmotionRecognizer.from_hparams(
        folder,
        overrides={"whisper": "../tiny", "segment": {"overlap": 0.2}},
    )
    assert recognizer.hparams.transcriber.model == "../tiny"
    assert recognizer.hparams.segment.keywords == {"overlap": 0.2}
    aligner = recognizer.hparams.aligner
    for overrides in (
        {"aligner": aligner},
        "aligner: !new:speechbrain_can.alignment.aligners.equal.EqualSegments {}",
    ):
        EmotionRecognizer.from_hparams(folder, overrides=overrides)
    with pytest.raises(InputError, match="no key whisperer to override"):
        EmotionRecognizer.from_hparams(folder, overrides={"whisperer": 1})


def test_parts_of_other_packages(folder, monkeypatch):
    """Installed packages register parts with an entry point."""
    path = folder / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8")
    name = "aligned_segments"
    own = f"speechbrain_can.features.segments.{name}"
    path.write_text(text.replace(own, f"helpers.plugin.{name}"), "utf-8")
    with pytest.raises(
        UntrustedError, match=f"{name} is not a registered part"
    ):
        EmotionRecognizer.from_hparams(folder)
    point = EntryPoint(
        "mine", f"helpers.plugin:{name}", "speechbrain_can.parts"
    )
    monkeypatch.setattr(
        "speechbrain_can.model_folder.parts.entry_points",
        lambda group: [point] if group == point.group else [],
    )
    recognizer = EmotionRecognizer.from_hparams(folder)
    assert recognizer.hparams.segment.func is plugin.aligned_segments


@pytest.mark.attack
@pytest.mark.parametrize(
    "text", [b"", b"- 1", b"a: \xff", b"\xff\xfe", b"a: 1"]
)
def test_invalid_yaml_is_named(folder, text):
    (folder / "hyperparams.yaml").write_bytes(text)
    with pytest.raises(UntrustedError, match="hyperparams.yaml"):
        EmotionRecognizer.from_hparams(folder)


@pytest.mark.attack
@pytest.mark.parametrize(
    "source",
    ["http://example.org/model", "ftp://example.org/model", "file:///x"],
)
def test_unencrypted_sources_are_refused(source):
    with pytest.raises(UntrustedError, match="only folders and names"):
        EmotionRecognizer.from_hparams(source)


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
