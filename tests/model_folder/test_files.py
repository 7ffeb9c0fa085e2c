"""Weights, class names and links of untrusted model folders cannot execute code."""

import base64
import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from speechbrain_can.alignment.words import Word
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.subwords import SubwordEmbedding
from speechbrain_can.model_folder.literal import UntrustedError, parse
from speechbrain_can.model_folder.parameters import (
    PACKED,
    load_network,
    save_network,
)
from speechbrain_can.model_folder.read import CLASSES, LARGEST


@pytest.mark.attack
def test_large_headers_are_refused(folder):
    content = b'{"__metadata__":{"other_state":"' + b"[]," * 3_000_000 + b'"}}'
    size = len(content).to_bytes(8, "little")
    (folder / PACKED).write_bytes(size + content)
    with pytest.raises(InputError, match="the header has 90000.. bytes"):
        EmotionRecognizer.from_hparams(folder)


def test_files_that_change_while_they_are_read(folder, tmp_path, monkeypatch):
    """A writer that swaps the settings after the check cannot execute code."""
    mark = tmp_path / "pwned"

    def swapped(text, path):
        found = parse(text, path)
        (folder / "hyperparams.yaml").write_text(
            f"evil: !apply:os.mkdir ['{mark}']"
        )
        return found

    monkeypatch.setattr("speechbrain_can.model_folder.read.parse", swapped)
    assert EmotionRecognizer.from_hparams(folder).classes
    assert not mark.exists()


@pytest.mark.attack
@pytest.mark.parametrize(
    "classes",
    [
        "[]",
        "{}",
        "[1, 2]",
        '["ang", "ang"]',
        '["\\u001b[2J", "sad"]',
        '["\\u202egna", "sad"]',
        f'["{"x" * 101}", "sad"]',
        '["", "sad"]',
        "[" * 50_000,
        '["ang"',
        "\xff",
        '["ang", "sad"]',
    ],
)
def test_invalid_classes_are_refused(folder, classes):
    (folder / CLASSES).write_bytes(classes.encode("latin-1"))
    own = (folder / PACKED).read_bytes()
    with pytest.raises(InputError, match="label_encoder.json does not match"):
        EmotionRecognizer.from_hparams(folder)
    # also without checksums of the other files
    (folder / PACKED).write_bytes(own.replace(b'"files"', b'"fales"'))
    with pytest.raises(InputError, match=f"{folder}.*label_encoder.json"):
        EmotionRecognizer.from_hparams(folder)


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        lambda words: words * 1000,
        lambda words: {"a": 1},
        lambda words: None,
        lambda words: [[]] * len(words),
        lambda words: [{}] * len(words),
        lambda words: "x" * len(words),
        lambda words: ["x"] * len(words),
    ],
)
def test_invalid_vocabularies_are_refused(folder, change):
    """The vocabulary of ``WordEmbedding`` is text in ``network.safetensors``."""
    with safe_open(folder / PACKED, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        other = json.loads(file.metadata()["other_state"])
    (key,) = other
    other[key] = change(other[key])
    save_file(tensors, folder / PACKED, {"other_state": json.dumps(other)})
    with pytest.raises(InputError, match=f"{folder}.*safetensors is damaged"):
        EmotionRecognizer.from_hparams(folder)


def field(number, content):
    """Return a field of a protocol buffer with bytes, or a small integer."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    length, size = len(content), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content


def piece(text, kind=1):
    """Return a subword of a SentencePiece model."""
    return field(1, field(1, text) + field(3, kind))


SPECIAL = piece(b"<unk>", 2) + piece(b"<s>", 3) + piece(b"</s>", 3)
TOKENIZERS = {
    "a long piece": SPECIAL + piece(b"x" * 4_000_000),
    "an invalid trie": SPECIAL
    + piece(b"a")
    + field(3, field(2, b"\4\0\0\0\xff\xff\xff\xffabc")),
    "more pieces than vectors": SPECIAL
    + b"".join(piece(b"%d" % i) for i in range(99)),
    "no unknown piece": piece(b"a"),
    "junk": b"\xff" * 1000,
    "nothing": b"",
}


@pytest.mark.attack
@pytest.mark.parametrize("model", TOKENIZERS.values(), ids=TOKENIZERS)
def test_invalid_tokenizers_are_refused(tmp_path, model):
    """Such files crashed versions of SentencePiece before 0.2.3."""
    path = tmp_path / PACKED
    network = SubwordEmbedding(tmp_path, vocab_size=7, embedding_size=2)
    text = {"base64": base64.b64encode(model).decode()}
    other = json.dumps({"_extra_state": {"tokenizer": text}})
    save_file({"weight": network.weight.detach()}, path, {"other_state": other})
    with pytest.raises(InputError, match="safetensors is damaged"):
        load_network(network, path)


@pytest.mark.attack
def test_an_empty_network_is_refused(folder):
    (folder / PACKED).write_text("")
    with pytest.raises(
        InputError, match=f"{folder}/network.safetensors is damaged"
    ):
        EmotionRecognizer.from_hparams(folder)


def test_damage_is_not_a_matter_of_trust(folder):
    content = (folder / PACKED).read_bytes()
    (folder / PACKED).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="is damaged") as told:
        EmotionRecognizer.from_hparams(folder)
    assert "trust_model_code" not in str(told.value)


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


@pytest.mark.attack
@pytest.mark.parametrize("name", [PACKED, CLASSES, "hyperparams.yaml"])
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
@pytest.mark.parametrize("name", [PACKED, "hyperparams.yaml", CLASSES])
def test_large_files_are_refused(folder, monkeypatch, name):
    monkeypatch.setitem(LARGEST, name, 10)
    with pytest.raises(UntrustedError, match=f"{name} is larger than 10 bytes"):
        EmotionRecognizer.from_hparams(folder)


@pytest.mark.attack
@pytest.mark.parametrize("name", [PACKED, "hyperparams.yaml", CLASSES])
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
