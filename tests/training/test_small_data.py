"""Small and imbalanced data: augmentation, soft labels, sampling, normalization."""

from dataclasses import replace

import pytest
import torch
from helpers.corpora import build_store, utterance, write_wav
from helpers.recipes import RECIPES, load_module, on, read_predictions, run

import speechbrain as sb
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.freq_domain import SpectrogramDrop
from speechbrain.augment.time_domain import AddNoise, DropChunk, SpeedPerturb
from speechbrain.nnet.schedulers import NoamScheduler
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.alignment.words import Word
from speechbrain_can.corpus.manifest import ManifestError, read_votes
from speechbrain_can.corpus.prepared import Corpus, CorpusError
from speechbrain_can.features.augmentation import (
    AugmentedFeatures,
    augment_speech,
)
from speechbrain_can.features.segments import aligned_segments
from speechbrain_can.features.spectral import SegmentMFCC
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.data import (
    flat_batch,
    group_statistics,
    make_datasets,
    vote_shares,
)
from speechbrain_can.training.fold import Fold, set_up

pytestmark = pytest.mark.training

WORDS = [Word("so", 0.0, 0.3), Word("what", 0.3, 0.7), Word("then", 0.7, 1.0)]


def augmenter(*augmentations, **options):
    return Augmenter(
        min_augmentations=len(augmentations),
        max_augmentations=len(augmentations),
        augmentations=list(augmentations),
        **options,
    )


def encoder(*emotions):
    made = sb.dataio.encoder.CategoricalEncoder()
    made.update_from_iterable(emotions)
    return made


@pytest.mark.parametrize("speed", [80, 100, 125])
def test_speed_scales_word_timings(speed):
    """A burst in a word remains in that word."""
    waveform = torch.zeros(16000)
    waveform[7000:9000] = torch.randn(2000)  # in the second word
    changed, words = augment_speech(
        waveform, WORDS, augmenter(SpeedPerturb(16000, speeds=[speed]))
    )
    assert len(changed) == pytest.approx(16000 * 100 / speed, abs=2)
    assert [word.text for word in words] == ["so", "what", "then"]
    assert words[-1].end == pytest.approx(len(changed) / 16000)
    energy = [
        changed[round(16000 * w.start) : round(16000 * w.end)].square().sum()
        for w in words
    ]
    assert energy[1] > 0.999 * sum(energy)
    loud = changed.abs() > 0.5 * changed.abs().max()
    first = loud.nonzero()[0].item() / 16000
    expected = 7000 / 16000 * 100 / speed
    assert first == pytest.approx(expected, abs=0.005)


def test_augmentation_without_speed_keeps_timings():
    noise, chunk = AddNoise(snr_low=0, snr_high=0), DropChunk(100, 200, 2, 2)
    waveform = torch.randn(16000)
    changed, words = augment_speech(waveform, WORDS, augmenter(noise, chunk))
    assert words == WORDS and len(changed) == 16000
    assert not torch.allclose(changed, waveform)
    with pytest.raises(ValueError, match="one signal per input"):
        augment_speech(waveform, WORDS, augmenter(noise, concat_original=True))


def test_augmentation_differs_between_epochs(small_corpus, tmp_path):
    store = build_store(tmp_path, small_corpus)
    shared = {
        "store": store,
        "data_folder": tmp_path / "corpus",
        "compute_features": SegmentMFCC(),
        "segment": aligned_segments,
        **{"seed": 1, "epoch_counter": EpochCounter(9)},
    }
    speed = augmenter(SpeedPerturb(16000, speeds=[200]))
    frames, counts = AugmentedFeatures(**shared, augment_waveform=speed)(
        small_corpus["a"]
    )
    stored, stored_counts = store["a"]
    assert len(frames) < 0.6 * len(stored) and len(counts) == 2
    drop = augmenter(SpectrogramDrop(2, 3, 1, 1, replace="zeros", dim=1))
    draw = AugmentedFeatures(**shared, augment_frames=drop)
    again = draw(small_corpus["b"])[0]
    # differs between epochs and seeds, independent of other random numbers
    state = torch.get_rng_state()
    assert torch.equal(draw(small_corpus["b"])[0], again)
    assert torch.equal(torch.get_rng_state(), state)
    draw.epoch_counter.current = 1
    assert not torch.equal(draw(small_corpus["b"])[0], again)
    draw.epoch_counter.current, draw.seed = 0, 2
    assert not torch.equal(draw(small_corpus["b"])[0], again)
    draw.seed = 1
    stored, _ = store["b"]
    changed = (again != stored).any(1)
    assert 2 <= changed.sum() <= 3 and (again[changed] == 0).all()
    # test utterances use cached features
    datasets = make_datasets(
        small_corpus,
        {"train": ["b"], "test": ["b"]},
        store,
        encoder("ang"),
        augmented=draw,
    )
    items = {part: flat_batch([data[0]]) for part, data in datasets.items()}
    assert torch.equal(items["test"].audio.frames, stored)
    assert not torch.equal(items["train"].audio.frames, stored)


def test_augmentation_does_not_depend_on_threads(small_corpus, tmp_path):
    """Data loader workers have one thread, the main process has several."""
    draw = AugmentedFeatures(
        build_store(tmp_path, small_corpus),
        tmp_path / "corpus",
        SegmentMFCC(),
        aligned_segments,
        seed=1,
        epoch_counter=EpochCounter(9),
        augment_waveform=augmenter(SpeedPerturb(16000, speeds=[90])),
    )
    before = torch.get_num_threads()
    used, found = [], []
    draw_frames = draw._draw
    draw._draw = lambda utterance: (
        used.append(torch.get_num_threads()),
        draw_frames(utterance),
    )[1]
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(draw(small_corpus["c"])[0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert used == [1, 1]
    assert torch.equal(*found)


NOT_FINITE = ("ang:nan sad:1", "ang:inf", "ang:1e308 sad:1e308")


def test_votes_become_shares_of_the_classes(small_corpus, tmp_path):
    rows = {
        "a": replace(small_corpus["a"], votes="sad:1 ang:3"),
        "b": small_corpus["b"],
    }
    labels = encoder("ang", "sad")
    assert vote_shares(rows["a"], labels).tolist() == [0.75, 0.25]
    store = build_store(tmp_path, small_corpus)
    datasets = make_datasets(
        rows,
        {"train": ["a", "b"], "test": ["a"]},
        store,
        labels,
        soft_labels=True,
    )
    batch = flat_batch([datasets["train"][i] for i in range(2)])
    assert batch.targets.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert flat_batch([datasets["test"][0]]).targets.tolist() == [0]
    # votes for the same emotion are added
    repeated = replace(rows["a"], votes="sad:2 ang:1 sad:1")
    assert vote_shares(repeated, labels).tolist() == [0.25, 0.75]
    with pytest.raises(CorpusError, match="a has votes for 'fea'"):
        vote_shares(replace(rows["a"], votes="fea:1"), labels)
    for votes in ("ang", "ang:x", "ang:0", "ang:-1 sad:2", *NOT_FINITE):
        with pytest.raises(ManifestError, match="Write them as fru:2 ang:1"):
            read_votes(replace(rows["a"], votes=votes))


def test_speaker_normalization(tmp_path):
    rows = {}
    for i, (speaker, gain) in enumerate((("F", 1), ("F", 1), ("M", 50))):
        name = f"u{i}"
        write_wav(tmp_path / "corpus" / f"{name}.wav", 1.0, seed=i)
        rows[name] = utterance(name, speaker=speaker)
    store = build_store(tmp_path, rows)
    statistics = group_statistics(rows, store, "speaker")
    datasets = make_datasets(
        rows,
        {"train": ["u0"], "test": ["u1", "u2"]},
        store,
        encoder("ang"),
        statistics=statistics,
    )
    items = [datasets["train"][0], datasets["test"][0], datasets["test"][1]]
    for frames in (
        torch.cat([items[0]["frames"], items[1]["frames"]]),
        items[2]["frames"],
    ):
        assert frames.mean(0).abs().max() < 1e-3
        assert (frames.std(0, unbiased=False) - 1).abs().max() < 1e-2
    nobody = {"u0": replace(rows["u0"], speaker="")}
    with pytest.raises(
        CorpusError, match="normalize_by=speaker needs .* 1 have none"
    ):
        group_statistics(nobody, store, "speaker")


def test_small_data_methods_are_reproducible(controlled_corpus, tmp_path):
    """With the options of the YAML file, augmentation and sampling."""
    arguments = [
        *on(controlled_corpus),
        *("--fold=0", "--num_workers=0", "--soft_labels=True"),
        *("--class_weights=balanced", "--focal_gamma=1"),
    ]
    for name in ("one", "two"):
        run(tmp_path / name, *arguments, model="can_small_data")
    log = (tmp_path / "one" / "fold_0" / "train_log.txt").read_text()
    assert log.count("epoch:") == 3
    result = read_json(tmp_path / "one" / "fold_0" / "result.json")
    assert 0 <= result["ECE calibrated"] <= 1 and result["temperature"] > 0
    assert set(result["valid"]) == {"WA", "UA", "macro-F1"}
    assert read_predictions(tmp_path / "one", 0) == read_predictions(
        tmp_path / "two", 0
    )


def test_sampler_draws_differ_between_epochs(controlled_corpus, tmp_path):
    """The learning rate also continues from a checkpoint."""
    settings = read_settings(
        RECIPES["IEMOCAP"] / "hparams" / "can_small_data.yaml",
        {
            "data_folder": str(controlled_corpus),
            "protocol": "leave_one_session_out",
            "output_folder": str(tmp_path),
            "features_folder": str(tmp_path / "features"),
            "prepared_folder": str(tmp_path / "prepared"),
            "augment_waveform": None,
            "feature_workers": 0,
            "num_workers": 0,
            "number_of_epochs": 3,
            "hidden_size": 8,
            "fold": 0,
        },
    )
    load_module(RECIPES["IEMOCAP"] / "iemocap_prepare.py").prepare_iemocap(
        controlled_corpus,
        tmp_path / "prepared",
        protocol="leave_one_session_out",
    )
    corpus = Corpus.load(tmp_path / "prepared", "leave_one_session_out")
    fold = Fold.of(settings, corpus, 0)
    hparams = fold.hparams
    hparams["lr_annealing"] = NoamScheduler(0.001, n_warmup_steps=4)
    brain, datasets, loading = set_up(
        fold, RunOptions(device="cpu", noprogressbar=True)
    )
    drawn = []
    compute = brain.compute_forward
    brain.compute_forward = lambda batch, stage: (
        drawn.append(batch.ids),
        compute(batch, stage),
    )[1]
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        train_loader_kwargs=loading["train"],
    )
    steps = len(drawn) // 3
    epochs = [sum(drawn[i * steps : (i + 1) * steps], []) for i in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(set(sum(epochs, []))) > len(set(epochs[0]))
    assert hparams["lr_annealing"].n_steps == len(drawn)
    assert "lr_annealing" in brain.checkpointer.recoverables


def test_normalization_groups_are_not_labels(small_corpus, tmp_path):
    store = build_store(tmp_path, small_corpus)
    for column in ("emotion", "spekaer"):
        with pytest.raises(InputError, match="Choose one of speaker, session"):
            group_statistics(small_corpus, store, column)
