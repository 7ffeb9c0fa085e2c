"""Encoders selected in YAML and on the command line."""

import pytest
import torch
from helpers.recipes import (
    DDP,
    PAIRS,
    RECIPES,
    WHISPER,
    copy_recipe,
    load_module,
    on,
    run,
)
from helpers.training import logged, overfit_one_batch

from speechbrain_can.controlled.generator import SENTENCES, read_sentences
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.files import read_json
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.brain import EmotionBrain

pytestmark = pytest.mark.training

SOURCES = {
    "can_wav2vec2_glove": ("wav2vec2", None),
    "can_hubert_bert": ("hubert", "bert"),
    "can_wavlm_roberta": ("wavlm", "roberta"),
    "can_wavlm_roberta_finetuned": ("wavlm", "roberta"),
    **{f"encoders/{name}": ("whisper", None) for name in WHISPER},
    "encoders/can_whisper_roberta": ("whisper", "roberta"),
    "can_best_egemaps": ("whisper", "roberta"),
    "can_best": ("whisper", "roberta"),
}
HPARAMS = RECIPES["IEMOCAP"] / "hparams" / "encoders"


def overrides(name, tiny):
    """Return the overrides that replace real models."""
    name = name if name in SOURCES else name.removeprefix("encoders/")
    audio, text = SOURCES.get(name, (None, None))
    return [
        *([f"--audio_source={tiny / audio}"] if audio else []),
        *([f"--text_source={tiny / text}"] if text else []),
        *([f"--pretrained_folder={tiny / 'save'}"] if audio else []),
        *(["--vocab_size=60"] if "sentencepiece" in name else []),
    ]


FINE_TUNED = "encoders/can_whisper_finetuned"


@pytest.mark.parametrize(
    "name, options",
    [
        *((f"encoders/{name}", []) for name in PAIRS + WHISPER),
        (FINE_TUNED, ["--trained_layers=1"]),
        (FINE_TUNED, ["--trained_layers=null"]),
        ("can_best", ["--generator=null"]),
        ("can_best_egemaps", ["--generator=null"]),
    ],
)
def test_every_pair_trains(name, options, controlled_corpus, tiny, tmp_path):
    run(
        tmp_path,
        *on(controlled_corpus),
        *("--fold=0", "--number_of_epochs=1"),
        *overrides(name, tiny),
        *options,
        model=name,
        recipe="ControlledCorpus" if "best" in name else "IEMOCAP",
    )
    result = read_json(tmp_path / "fold_0" / "result.json")
    assert 0 <= result["WA"] <= 1 and result["epochs"] == 1
    losses, gradients = overfit_one_batch(tmp_path, lr=0.02)
    assert losses[-1] < 0.5 * losses[0]
    without = {
        parameter
        for parameter, gradient in gradients.items()
        if gradient is None or not gradient.any()
    }
    # The loss does not depend on the pooler, the mask of SpecAugment,
    # and biases of keys, since softmax ignores a constant.
    unused = (
        *(".pooler.dense.weight", ".pooler.dense.bias", ".masked_spec_embed"),
        *(".key.bias", ".k_proj.bias"),
    )
    assert not {name for name in without if not name.endswith(unused)}


def test_learning_rate_of_fine_tuned_encoders(tiny, tmp_path):
    name = "can_wavlm_roberta_finetuned"
    values = [
        argument[2:].replace("=", ": ", 1) for argument in overrides(name, tiny)
    ]
    for freeze, rates in ((False, [1e-3, 1e-5]), (True, [1e-3])):
        brain = make_brain(
            read_settings(
                HPARAMS / f"{name}.yaml",
                "\n".join(
                    [
                        *values,
                        f"freeze: {freeze}",
                        f"output_folder: {tmp_path}",
                        "data_folder: x",
                    ]
                ),
            ).build()
        )
        brain.init_optimizers()
        optimizers = list(brain.optimizers_dict.values())
        assert [o.param_groups[0]["lr"] for o in optimizers] == rates
        held = [
            {id(p) for group in o.param_groups for p in group["params"]}
            for o in optimizers
        ]
        every = {id(p) for p in brain.modules.parameters()}
        assert set().union(*held) == every
        assert sum(map(len, held)) == len(every)
        if not freeze:
            front_end = brain.hparams.pretrained_frames.front_end
            assert {id(p) for p in front_end.parameters()} < held[1]
        names = set(brain.checkpointer.recoverables)
        assert set(brain.optimizers_dict) < names


def make_brain(hparams):
    return EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        checkpointer=hparams["checkpointer"],
    )


def test_packaged_sentences_support_subwords(tmp_path):
    """With the vocabulary size of the file, on about the text of a training set."""
    hparams = read_settings(
        HPARAMS / "can_mfcc_sentencepiece.yaml",
        f"output_folder: {tmp_path}\ndata_folder: x",
    ).build()
    words = [
        word
        for sentence in read_sentences(SENTENCES)[15:]
        for word in sentence.words
    ]
    hparams["model"].fit_vocabulary(words)
    assert hparams["text_encoder"]([["so", "what"]]).shape == (1, 2, 256)


def test_subwords_are_part_of_the_checkpoint(controlled_corpus, tmp_path):
    """A second run tests the checkpoint of the first one."""
    arguments = [
        f"--data_folder={controlled_corpus}",
        *(
            "--protocol=leave_one_session_out",
            "--fold=0",
            "--number_of_epochs=1",
        ),
        "--vocab_size=60",
    ]
    how = {"model": "encoders/can_mfcc_sentencepiece"}
    run(tmp_path, *arguments, **how)
    folder = tmp_path / "fold_0"
    before = (folder / "predictions.csv").read_text()
    (folder / "result.json").unlink()
    run(tmp_path, *arguments, **how)
    assert (folder / "predictions.csv").read_text() == before


def test_two_processes_fine_tune(controlled_corpus, tiny, tmp_path):
    name = "can_wavlm_roberta_finetuned"
    printed = run(
        tmp_path,
        *on(controlled_corpus),
        *("--fold=0", "--number_of_epochs=15", "--patience=15"),
        *("--lr=0.02", "--dropout=0", "--use_tensorboard=True"),
        *("--device=cpu", "--distributed_backend=gloo"),
        *("--find_unused_parameters", *overrides(name, tiny)),
        model=f"encoders/{name}",
        python=DDP,
    )
    assert printed.count(f"{name} on controlled corpus") == 1
    losses = logged(tmp_path, "loss")
    assert len(losses) == 15 and losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--audio_source=nowhere/none", "'nowhere/none' cannot be loaded"),
        ("--sample_rate=8000", "Set --sample_rate=16000"),
    ],
)
def test_unusable_input_is_named(
    argument, message, controlled_corpus, tiny, tmp_path
):
    printed = run(
        tmp_path,
        f"--data_folder={controlled_corpus}",
        "--protocol=leave_one_session_out",
        *overrides("can_wavlm_roberta", tiny),
        argument,
        model="encoders/can_wavlm_roberta",
        fails=True,
    )
    assert message in printed.splitlines()[-1]


def test_swapping_encoders_keeps_other_modules(tmp_path, tiny):
    """The modules of CAN adapt to the sizes of any encoder."""
    for name in PAIRS:
        values = [
            argument[2:].replace("=", ": ", 1)
            for argument in overrides(name, tiny)
        ]
        hparams = read_settings(
            HPARAMS / f"{name}.yaml",
            "\n".join(
                [*values, f"output_folder: {tmp_path}", "data_folder: x"]
            ),
        ).build()
        plain = read_settings(
            HPARAMS.parent / "can.yaml",
            {"output_folder": str(tmp_path), "data_folder": "x"},
        ).build()
        for part in ("fusion", "classifier"):
            assert repr(hparams[part]) == repr(plain[part])
        assert (
            hparams["text_encoder"].output_size
            == hparams["audio_encoder"].output_size
            == 256
        )
        assert isinstance(hparams["model"], torch.nn.Module)


def test_other_features_in_yaml(controlled_corpus, tmp_path):
    """Sizes follow from the features in every system and in complete files."""
    recipe = copy_recipe(tmp_path / "recipe")
    for base in ("can", "audio_model", "multi_hop", "learned_alignment"):
        whole = recipe / "hparams" / f"whole_{base}.yaml"
        whole.write_text(read_settings(whole.with_name(f"{base}.yaml")).text)
        path = recipe / "hparams" / f"fbank_{base}.yaml"
        path.write_text(
            f"base: {whole.name}\n"
            "compute_features: "
            "!new:speechbrain_can.features.spectral.SegmentFbank\n"
            "    n_mels: 60\n"
        )
        hparams = read_settings(
            path, {"output_folder": str(tmp_path), "data_folder": "x"}
        ).build()
        audio = WordFrames(
            hparams["normalize"](torch.randn(30, 60)),
            torch.tensor([30]),
            torch.tensor([1]),
        )
        assert hparams["audio_encoder"](audio).shape[0] == 1


@pytest.mark.parametrize("name", ["can_ecapa", "can_egemaps"])
def test_emodb_with_other_encoders(name, emodb_release, tmp_path):
    printed = run(
        tmp_path,
        f"--data_folder={emodb_release}",
        *("--fold=0", "--number_of_epochs=1"),
        model=f"encoders/{name}",
        recipe="EmoDB",
    )
    assert f"{name} on EmoDB" in printed


def test_emodb_supports_subwords(data, tmp_path):
    """With the vocabulary size of the file, on the training text of all folds."""
    name = "can_mfcc_sentencepiece"
    hparams = read_settings(
        RECIPES["EmoDB"] / "hparams" / "encoders" / f"{name}.yaml",
        {"data_folder": "x", "output_folder": str(tmp_path)},
    ).build()
    prepare = load_module(RECIPES["EmoDB"] / "emodb_prepare.py").prepare_emodb
    prepare(
        data_folder=data / "emodb",
        save_folder=tmp_path / "prepared",
        protocol="leave_one_speaker_out",
        fold_seed=1234,
    )
    corpus = Corpus.load(tmp_path / "prepared", "leave_one_speaker_out")
    for fold in range(10):
        names = split_fold(corpus.folds, fold)["train"]
        hparams["model"].fit_vocabulary(corpus.words_of(names))
    assert hparams["text_encoder"]([["das"]]).shape == (1, 1, 256)


@pytest.mark.parametrize(
    "name", ["can_best", "can_small_data", "encoders/can_whisper_words"]
)
def test_emodb_with_best_configurations(name, emodb_release, tiny, tmp_path):
    printed = run(
        tmp_path,
        f"--data_folder={emodb_release}",
        *("--fold=0", "--number_of_epochs=1", "--units=words"),
        *(
            []
            if name == "can_small_data"
            else [
                f"--audio_source={tiny / 'whisper'}",
                f"--pretrained_folder={tiny / 'save'}",
            ]
        ),
        model=name,
        recipe="EmoDB",
    )
    assert f"{name.rpartition('/')[2]} on EmoDB, words" in printed
