"""A fold is complete in its folder."""

import shutil

import pytest
import torch
from helpers.pages import blocks
from helpers.recipes import on, read_predictions, run

from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.hparams import SettingsError
from speechbrain_can.inference.loading import load_fold
from speechbrain_can.lobes.losses import decide
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.training.checkpoints import save_epoch


@pytest.fixture(scope="module")
def trained(controlled_corpus, tmp_path_factory):
    """A fold whose best epoch is not its last one, by a worse one after it."""
    folder = tmp_path_factory.mktemp("run") / "results"
    run(folder, *on(controlled_corpus), "--fold=1")
    hparams, _ = load_fold(folder / "fold_1")
    with torch.no_grad():
        for parameter in hparams["model"].parameters():
            parameter.add_(1.0)
    save_epoch(hparams["checkpointer"], epoch=4, error=1.0, seconds=9.0)
    return folder


def test_moved_elsewhere_it_predicts_as_it_was_tested(
    trained, controlled_corpus, tmp_path
):
    expected = read_predictions(trained, 1)
    utterances = read_manifest(trained / "prepared" / "manifest.csv")
    folder = tmp_path / "moved"
    shutil.copytree(trained / "fold_1", folder)
    hidden = trained.with_name("hidden")
    trained.rename(hidden)
    try:
        hparams, classes = load_fold(folder)
    finally:
        hidden.rename(trained)
    assert classes == "ang exc hap sad fru sur neu".split()
    for row in expected:
        utterance = utterances[row["ID"]]
        waveform = read_waveform(
            resolve_wav(utterance, controlled_corpus), hparams["sample_rate"]
        )
        segments = torch.from_numpy(hparams["segment"](utterance.words))
        frames, counts = hparams["compute_features"](waveform, segments)
        audio = WordFrames(
            hparams["modules"]["normalize"](frames),
            counts,
            torch.tensor([len(counts)]),
        )
        words = [[word.text for word in utterance.words]]
        with torch.no_grad():
            output = hparams["modules"]["model"](words, audio)
        probabilities = decide(output)[0].exp().tolist()
        assert probabilities == pytest.approx(
            [float(row[name]) for name in classes], abs=2e-6
        )


def test_the_newest_checkpoint_is_another_one(trained):
    """What a plain recovery loads is not what was tested."""
    hparams, _ = load_fold(trained / "fold_1")
    tested = [p.clone() for p in hparams["model"].parameters()]
    hparams["checkpointer"].recover_if_possible()
    assert not all(map(torch.equal, tested, hparams["model"].parameters()))


def test_what_is_no_fold_is_named(trained, tmp_path):
    with pytest.raises(SettingsError, match="no label_encoder.txt; give"):
        load_fold(trained)
    shutil.copytree(trained / "fold_1", tmp_path / "fold_1")
    shutil.rmtree(tmp_path / "fold_1" / "save")
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load_fold(tmp_path / "fold_1")


def test_the_random_generator_stays_as_it_is(trained):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    load_fold(trained / "fold_1")
    assert torch.rand(1) == expected


def test_the_example_of_the_readme(trained):
    example = next(b for b in blocks("README.md") if "load_fold" in b)
    found = {}
    exec(example.replace("results/can/1234/fold_0", f"{trained}/fold_1"), found)
    assert len(found["classes"]) == 7
