"""Pinned models are verified, and damaged caches are refused."""

import hashlib
import sqlite3
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch
from faster_whisper import download_model
from helpers.encoders import WORDS, front_end

from speechbrain.integrations.huggingface.wavlm import WavLM
from speechbrain_can.encoders.hub import PretrainedError, located
from speechbrain_can.encoders.loading import model_version
from speechbrain_can.encoders.text import PretrainedWords
from speechbrain_can.encoders.word_store import WordStore, WordStoreError
from speechbrain_can.features.hidden import SegmentHidden
from speechbrain_can.inference.loading import load_recognizer
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError


def as_the_hub_keeps_it(model, cache, commit):
    """Write links with the file names of a repository to files named by checksum."""
    (cache / "blobs").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    snapshot = cache / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in model.iterdir():
        content = path.read_bytes()
        name = (
            hashlib.sha256(content)
            if path.suffix == ".safetensors"
            else hashlib.sha1(b"blob %d\0" % len(content) + content)
        ).hexdigest()
        (cache / "blobs" / name).write_bytes(content)
        (snapshot / path.name).symlink_to(f"../../blobs/{name}")
    return snapshot


@pytest.mark.attack
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pinned_commit_is_checked(name, tiny, tmp_path):
    commit = "0123456789" * 4
    cache = tmp_path / "models--someone--bert"
    snapshot = as_the_hub_keeps_it(tiny / "bert", cache, commit)
    pinned = f"someone/bert@{commit}"
    words = PretrainedWords(pinned, str(tmp_path))(WORDS)
    assert torch.equal(
        words, PretrainedWords(str(tiny / "bert"), str(tmp_path))(WORDS)
    )
    assert model_version(pinned, str(tmp_path)) == commit
    # branches are not verified
    branch = PretrainedWords("someone/bert@main", str(tmp_path))(WORDS)
    assert torch.equal(words, branch)
    with pytest.raises(PretrainedError, match="cannot be loaded"):
        PretrainedWords(f"someone/bert@{'9' * 40}", str(tmp_path))
    blob = (snapshot / name).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b" ")
    with pytest.raises(
        PretrainedError, match=f"{name} does not match its commit"
    ):
        PretrainedWords(pinned, str(tmp_path))


@pytest.mark.attack
def test_a_pinned_whisper_is_checked(tmp_path):
    """The model is already in the cache, because tests cannot download it."""
    commit = "0123456789" * 4
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    snapshot = as_the_hub_keeps_it(
        model, tmp_path / "models--someone--whisper", commit
    )
    pinned = f"someone/whisper@{commit}"
    assert located(pinned, str(tmp_path), download_model) == str(snapshot)
    (snapshot / "config.json").resolve().write_text("[] ")
    with pytest.raises(PretrainedError, match="does not match its commit"):
        located(pinned, str(tmp_path), download_model)


@pytest.mark.attack
def test_a_pinned_model_folder_is_checked(trained, tmp_path, monkeypatch):
    commit = "0123456789" * 4
    snapshot = as_the_hub_keeps_it(
        trained / "fold_1" / "model",
        tmp_path / "models--someone--emotions",
        commit,
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for source in (f"someone/emotions@{commit}", "someone/emotions"):
        assert load_recognizer(source).classes
    # the same commit is checked and loaded
    with pytest.raises(
        InputError, match=f"{commit}/hyperparams.yaml: no key no to"
    ):
        EmotionRecognizer.from_hparams("someone/emotions", overrides={"no": 1})
    blob = (snapshot / "network.safetensors").resolve()
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(PretrainedError, match="does not match its commit"):
        load_recognizer(f"someone/emotions@{commit}")
    with pytest.raises(PretrainedError, match="cannot be loaded"):
        load_recognizer(f"someone/emotions@{'9' * 40}")


def test_a_pinned_front_end(tiny, tmp_path):
    commit = "0123456789" * 4
    cache = tmp_path / "models--someone--wavlm"
    as_the_hub_keeps_it(tiny / "wavlm", cache, commit)
    build = partial(
        WavLM,
        source=f"someone/wavlm@{commit}",
        save_path=str(tmp_path),
        output_all_hiddens=True,
    )
    features = SegmentHidden(build)
    assert commit in repr(features)
    waveform, segments = torch.randn(16000), torch.tensor([[0.0, 1.0]])
    frames, _ = features(waveform, segments)
    expected, _ = SegmentHidden(front_end(tiny, "wavlm"))(waveform, segments)
    assert torch.equal(frames, expected)


def read_words(words):
    return np.full(len(words), 0.5, np.float32), np.ones(1, np.int64)


@pytest.mark.attack
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE utterances SET hidden = zeroblob(8)",
        "UPDATE utterances SET counts = zeroblob(800)",
        "UPDATE utterances SET hidden = 'text', checksum = NULL",
        "UPDATE utterances SET checksum = checksum + 1",
        "CREATE TRIGGER more AFTER INSERT ON utterances BEGIN "
        "DELETE FROM utterances; END",
        "CREATE VIEW other AS SELECT 1",
        "DROP TABLE utterances; CREATE TABLE utterances (words TEXT, hidden BLOB, "
        "counts BLOB, checksum INTEGER GENERATED ALWAYS AS (1))",
        "DROP TABLE utterances; CREATE VIEW utterances AS WITH RECURSIVE "
        "n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS words, 0 AS hidden, 0 AS counts, 0 AS checksum FROM n",
    ],
)
def test_a_poisoned_word_store_is_refused(damage, tmp_path):
    store = WordStore(tmp_path / "words.sqlite")
    store.fetch([["oh", "no"]], read_words)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.executescript(damage)
    with pytest.raises(WordStoreError, match="is damaged. Delete") as told:
        store.fetch([["oh", "no"]], read_words)
    row = damage.startswith("UPDATE")
    assert ("the row of 'oh no' is" in str(told.value)) == row


def test_a_damaged_word_store_is_refused(tmp_path):
    store = WordStore(tmp_path / "words.sqlite")
    store.fetch([[f"w{i}"] for i in range(500)], read_words)
    content = store.path.read_bytes()
    for damaged in (content[:5000], b"x" * 9000, content[:100] + bytes(9000)):
        store.path.write_bytes(damaged)
        with pytest.raises(WordStoreError, match="[Dd]elete"):
            store.fetch([[f"w{i}"] for i in range(500)], read_words)
