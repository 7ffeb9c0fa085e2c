"""Packaged models, and models evaluated on other corpora."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers.recipes import run
from sklearn.metrics import accuracy_score

from speechbrain_can.__main__ import main
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.inference.loading import load_recognizer
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.subwords import SubwordEmbedding
from speechbrain_can.lobes.text import WordEmbedding
from speechbrain_can.model_folder.parameters import load_network, save_network
from speechbrain_can.model_folder.read import MODELS, packaged
from speechbrain_can.runs.predictions import read_predictions

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def three_folds(tiny, tmp_path_factory):
    """Train EmoDB's recipe on three speakers, with Whisper for both modalities."""
    from helpers.corpora import write_wav

    folder = tmp_path_factory.mktemp("packing")
    for i, speaker in enumerate(("03", "08", "09")):
        for j, letter in enumerate("WLEAFTN"):
            name = f"{speaker}a01{letter}a"
            write_wav(
                folder / "emodb" / "wav" / f"{name}.wav", 0.9, seed=7 * i + j
            )
    run(
        folder / "run",
        f"--data_folder={folder / 'emodb'}",
        f"--audio_source={tiny / 'whisper'}",
        f"--pretrained_folder={tiny / 'save'}",
        *("--units=words", "--number_of_epochs=2"),
        model="encoders/can_whisper_words",
        recipe="EmoDB",
    )
    return folder


@pytest.fixture(scope="module")
def packed(three_folds):
    card = three_folds / "card.md"
    card.write_text("What it is.\n\n---\n\nIt must not decide on people.\n")
    result = CliRunner().invoke(
        main,
        [
            *("package", str(three_folds / "run"), str(three_folds / "box")),
            *("--card", str(card), "--license", "cc0-1.0"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "parameters in" in result.output
    return three_folds / "box"


def test_packaged_model_predicts(packed, three_folds, monkeypatch, tmp_path):
    names = {path.name for path in packed.iterdir()}
    assert names == {
        *("hyperparams.yaml", "network.safetensors", "label_encoder.json"),
        *("README.md", "statistics.json"),
    }
    card = (packed / "README.md").read_text()
    assert "all 21 utterances of EmoDB, words" in card
    assert "3 models with the same settings, one per fold of" in card
    assert (
        "It must not decide on people." in card and "license: cc0-1.0" in card
    )
    recognizer = load_recognizer(packed)
    assert recognizer.classes == "ang bor dis fea hap sad neu".split()
    wav = three_folds / "emodb" / "wav" / "03a01Wa.wav"
    rows = read_manifest(three_folds / "run" / "prepared" / "manifest.csv")
    words = rows["03a01Wa"].words
    prediction = recognizer.classify_file(wav, alignment=words)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    # packaged models are loaded by name
    monkeypatch.setattr(
        "speechbrain_can.model_folder.read.MODELS", packed.parent
    )
    assert packaged("box") == str(packed)
    named = EmotionRecognizer.from_hparams("box")
    again = named.classify_file(wav, alignment=words)
    assert again.probabilities == prediction.probabilities
    # paths are not names
    for path in (
        "../box",
        "none",
        "./box",
        "box/",
        Path("box"),
        f".{os.sep}box",
    ):
        assert packaged(path) == path
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match="is not a model folder|neither a folder"
    ):
        load_recognizer("./box")
    with pytest.raises(
        InputError, match="is not a model folder|neither a folder"
    ):
        load_recognizer(Path("box"))
    (tmp_path / "box").mkdir()
    with pytest.raises(InputError, match="both a packaged model and a folder"):
        load_recognizer("box")


def test_vocabulary_and_tokenizer_are_saved(tmp_path):
    texts = ["so what", "what now", "oh no", "so be it"] * 5
    for build in (
        lambda: WordEmbedding(4),
        lambda: SubwordEmbedding(tmp_path, vocab_size=12, embedding_size=4),
    ):
        network, copy = build(), build()
        network.fit_vocabulary([w for text in texts for w in text.split()])
        save_network(network, tmp_path / "network.safetensors")
        load_network(copy, tmp_path / "network.safetensors")
        words = [["so", "what"], ["unheard", "of"]]
        assert torch.equal(network.eval()(words), copy.eval()(words))


def test_a_damaged_network_is_named(tmp_path, caplog):
    path = tmp_path / "network.safetensors"
    save_network(torch.nn.Linear(2, 3), path)
    content = path.read_bytes()
    with pytest.raises(InputError, match="network.safetensors is damaged or"):
        load_network(torch.nn.Linear(3, 2), path)
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    for damaged in (
        *(content[:40], b"", content[:-4], bytes(100), b"x" * 500),
        flipped,
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="network.safetensors is damaged"):
            load_network(torch.nn.Linear(2, 3), path)
    # without the result of an early version, or with a damaged key
    path.write_bytes(content.replace(b'"checksum"', b'"checksom"'))
    load_network(torch.nn.Linear(2, 3), path)
    assert "has no checksum" in caplog.text


def test_packaging_errors_before_training(three_folds):
    card = three_folds / "limits.md"
    card.write_text("a\n---\nb\n")
    shared = [str(three_folds / "box2"), "--card", str(card), "--license", "x"]
    for run_folder, more, message in (
        (
            "run",
            ["--set", "audio_sorce", "x"],
            "the settings have no key audio_sorce",
        ),
        ("emodb", [], "hyperparams.yaml"),
    ):
        result = CliRunner().invoke(
            main, ["package", str(three_folds / run_folder), *shared, *more]
        )
        assert result.exit_code == 1, result.output
        assert message in " ".join(result.output.split())
    assert not (three_folds / "box2").exists()


def test_a_model_is_tested_on_another_corpus(packed, trained, tmp_path):
    """Evaluated on the emotions that both corpora have."""
    prepared = trained / "prepared"
    output = tmp_path / "predictions.csv"
    result = CliRunner().invoke(
        main,
        [
            *("evaluate", str(packed), str(prepared), "--output", str(output)),
            *("--fold", "leave_one_session_out", "1"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "emotions in common: ang, hap, sad, neu" in result.output
    table = read_predictions(output)
    rows = read_manifest(prepared / "manifest.csv")
    wanted = {
        name
        for name, row in rows.items()
        if row.session == "2" and row.emotion in ("ang", "hap", "sad", "neu")
    }
    assert set(table["ID"]) == wanted
    assert list(table.columns[3:]) == ["ang", "hap", "sad", "neu"]
    sums = table[["ang", "hap", "sad", "neu"]].sum(axis=1)
    assert ((sums - 1).abs() < 1e-5).all()
    accuracy = accuracy_score(table["true"], table["predicted"])
    assert f"WA {accuracy:.3f}" in result.output
    nowhere = CliRunner().invoke(
        main,
        ["evaluate", str(packed), str(prepared), "--fold", "random10", "0"],
    )
    assert "folds_random10.csv does not exist" in nowhere.output


@pytest.mark.parametrize(
    "name, fold",
    [
        ("manifest.csv", []),
        (
            "folds_leave_one_session_out.csv",
            ["--fold", "leave_one_session_out", "1"],
        ),
    ],
)
def test_a_changed_corpus_is_not_evaluated(
    name, fold, packed, trained, tmp_path
):
    prepared = shutil.copytree(trained / "prepared", tmp_path / "prepared")
    path = prepared / name
    path.write_text(path.read_text().replace("ang", "sad").replace("1", "2"))
    result = CliRunner().invoke(
        main, ["evaluate", str(packed), str(prepared), *fold]
    )
    assert result.exit_code == 1
    assert f"{name} was modified after preparation" in " ".join(
        result.output.split()
    )


def test_speaker_normalization_at_prediction(three_folds, tiny, tmp_path):
    """A model that normalizes per speaker predicts what its fold predicted."""
    output = tmp_path / "run"
    run(
        output,
        f"--data_folder={three_folds / 'emodb'}",
        f"--audio_source={tiny / 'whisper'}",
        f"--pretrained_folder={tiny / 'save'}",
        *("--fold=0", "--number_of_epochs=1", "--normalize_by=speaker"),
        model="encoders/can_whisper",
        recipe="EmoDB",
    )
    recognizer = load_recognizer(output / "fold_0" / "model")
    rows = read_manifest(output / "prepared" / "manifest.csv")
    table = read_predictions(output / "fold_0" / "predictions.csv")
    own = [rows[name] for name in table["ID"]]
    wavs = [
        read_waveform(
            three_folds / "emodb" / "wav" / f"{u.utterance_id}.wav", 16000
        )
        for u in own
    ]
    predictions = recognizer.classify_batch(
        torch.stack(wavs),
        alignments=[u.words for u in own],
        speakers=[u.speaker for u in own],
    )
    assert [p.label for p in predictions] == list(table["predicted"])
    evaluated = tmp_path / "evaluated.csv"
    folder = str(output / "fold_0" / "model")
    result = CliRunner().invoke(
        main,
        [
            *("evaluate", folder, str(output / "prepared")),
            *("--fold", "leave_one_speaker_out", "0"),
            *("--output", str(evaluated)),
        ],
    )
    assert result.exit_code == 0, result.output
    again = read_predictions(evaluated)
    assert list(again["predicted"]) == list(table["predicted"])
    with pytest.raises(InputError, match="features of each speaker"):
        recognizer.classify_batch(
            torch.stack(wavs), alignments=[u.words for u in own]
        )
    with pytest.raises(ValueError, match="or speakers for 7 waveforms"):
        recognizer.classify_batch(torch.stack(wavs), speakers=["03"])


def test_packaged_model_files():
    folder = MODELS / "emodb-whisper-base"
    assert (folder / "hyperparams.yaml").exists()
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 3_000_000
    assert "Do not use it to judge" in (folder / "README.md").read_text()


def test_the_packaged_model_predicts_real_recordings(whisper, data):
    recognizer = EmotionRecognizer.from_hparams(
        "emodb-whisper-base", overrides={"audio_source": str(whisper / "hf")}
    )
    names = {"03a01Wa": "ang", "03a01Nc": "neu", "08a01Wa": "ang"}
    for name, emotion in names.items():
        prediction = recognizer.classify_file(
            data / "emodb" / "wav" / f"{name}.wav",
            transcript="Der Lappen liegt auf dem Eisschrank.",
        )
        assert prediction.label == emotion
