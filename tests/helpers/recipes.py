"""The recipes, and how a user runs them."""

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


SHARED = ROOT.parent / "shared" / "data"


RECIPES = {
    name: ROOT / "recipes" / name / "multimodal_emotion_recognition"
    for name in ("IEMOCAP", "EmoDB")
}


def load_module(path):
    """Imports a recipe's module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


# hparams files of the paper's systems, and the models they build
SYSTEMS = {
    "can": "can",
    "text_model": "text_model",
    "audio_model": "audio_model",
    "multi_hop": "multi_hop_3",
    "learned_alignment": "learned_alignment",
    "equal_segmentation": "can",
    "no_stop_gradient": "no_stop_gradient",
    "no_align_loss": "no_align_loss",
    "no_stop_gradient_no_align_loss": "no_align_loss",
    "no_cross_attention": "no_cross_attention",
}


# Encoders that people would reach for, whose files build on others
PAIRS = [
    "can_ecapa_glove",
    "can_egemaps_glove",
    "can_hubert_bert",
    "can_mfcc_sentencepiece",
    "can_wav2vec2_glove",
    "can_wavlm_roberta",
    "can_wavlm_roberta_finetuned",
]


SMALL = {
    "--hidden_size": "8",
    "--embedding_size": "12",
    "--number_of_epochs": "3",
    "--batch_size": "8",
    "--feature_workers": "0",
}


DDP = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]


def command(
    output_folder, *arguments, recipe="IEMOCAP", model="can", python=()
):
    # YAML takes a key once: of several, the last one counts here
    options = {
        **SMALL,
        "--output_folder": output_folder,
        "--features_folder": f"{output_folder}/features",
    }
    flags = ["--noprogressbar"]
    for argument in arguments:
        key, given, value = argument.partition("=")
        if given:
            options[key] = value
        else:
            flags.append(argument)
    return {
        "args": [
            sys.executable,
            *python,
            "train.py",
            f"hparams/{model}.yaml",
            *(f"{key}={value}" for key, value in options.items()),
            *flags,
        ],
        "cwd": RECIPES[recipe],
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
    }


def run(output_folder, *arguments, fails=False, **how):
    """What the recipe printed; asserts how it ended."""
    result = subprocess.run(
        **command(output_folder, *arguments, **how),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (result.returncode != 0) == fails, result.stdout
    return result.stdout


def on(corpus):
    return [f"--data_folder={corpus}", "--protocol=session5"]


def read_predictions(folder, fold):
    with open(
        folder / f"fold_{fold}" / "predictions.csv", newline=""
    ) as stream:
        return list(csv.DictReader(stream))
