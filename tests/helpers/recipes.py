"""Recipes and how users run them."""

import csv
import functools
import importlib.util
import io
import logging
import os
import runpy
import shutil
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from helpers.seeds import shifted

import speechbrain as sb

ROOT = Path(__file__).parents[2]


RECIPES = {
    name: ROOT / "recipes" / name / "multimodal_emotion_recognition"
    for name in ("IEMOCAP", "EmoDB", "ControlledCorpus")
}


def load_module(path):
    """Import a module of a recipe from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def copy_recipe(folder):
    """Copy the recipe of IEMOCAP to a folder, to add custom files; return it."""
    shutil.copytree(
        RECIPES["IEMOCAP"],
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("results", "__pycache__"),
    )
    return folder


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


# Files in hparams/encoders/ without Whisper
PAIRS = [
    "can_ecapa_glove",
    "can_egemaps_glove",
    "can_hubert_bert",
    "can_mfcc_sentencepiece",
    "can_wav2vec2_glove",
    "can_wavlm_roberta",
    "can_wavlm_roberta_finetuned",
]


# Files in hparams/encoders/ with Whisper
WHISPER = [
    "can_whisper",
    "can_whisper_words",
    "can_whisper_roberta",
    "can_whisper_decoder",
    "can_whisper_finetuned",
]


SMALL = {
    "--hidden_size": "8",
    "--embedding_size": "12",
    "--number_of_epochs": "3",
    "--batch_size": "8",
    "--feature_workers": "0",
    "--draw_attention": "False",
}


DDP = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]


def arguments_of(output_folder, *arguments, model="can"):
    """Return arguments of ``train.py`` for a small model."""
    # YAML keys must be unique; the last value is used here
    options = {
        **SMALL,
        "--seed": shifted(1234),
        "--output_folder": output_folder,
        "--features_folder": f"{output_folder}/features",
    }
    flags = []
    for argument in arguments:
        key, given, value = argument.partition("=")
        if given:
            options[key] = value
        else:
            flags.append(argument)
    return [
        f"hparams/{model}.yaml",
        *(f"{key}={value}" for key, value in options.items()),
        *flags,
    ]


def command(output_folder, *arguments, recipe="IEMOCAP", python=(), **how):
    """Return arguments of ``subprocess`` that run ``train.py`` of a recipe or folder."""
    return {
        "args": [
            *[sys.executable, *python, "train.py"],
            *arguments_of(output_folder, *arguments, **how),
        ],
        "cwd": RECIPES.get(recipe, recipe),
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
    }


def run(output_folder, *arguments, fails=False, python=(), **how):
    """Run ``train.py``, assert its exit status and return what it printed.

    It runs in this process, which saves seconds of imports, unless ``python`` contains
    arguments of an interpreter.
    """
    if python:
        result = subprocess.run(
            **command(output_folder, *arguments, python=python, **how),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        failed, printed = result.returncode != 0, result.stdout
    else:
        failed, printed = attempt(output_folder, *arguments, **how)
    assert failed == fails, printed
    return printed


# ``pip freeze`` takes half a second and finds the same packages in every run.
environment_description = functools.cache(
    sb.utils.logger.get_environment_description
)


def attempt(output_folder, *arguments, recipe="IEMOCAP", **how):
    """Run ``train.py`` in this process; return whether it failed and what it printed."""
    folder = RECIPES.get(recipe, recipe)
    before = os.getcwd(), sys.argv, sys.path[:], sys.excepthook
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    describe = sb.utils.logger.get_environment_description
    printed = io.StringIO()
    failed = False
    try:
        sb.utils.logger.get_environment_description = environment_description
        os.chdir(folder)
        sys.argv = ["train.py", *arguments_of(output_folder, *arguments, **how)]
        sys.path.insert(0, str(folder))
        with redirect_stdout(printed), redirect_stderr(printed):
            runpy.run_path(str(folder / "train.py"), run_name="__main__")
    except SystemExit as error:
        failed = bool(error.code)
        printed.write(str(error.code))
    except Exception:
        failed = True
        printed.write(traceback.format_exc())
    finally:
        sb.utils.logger.get_environment_description = describe
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        cwd, sys.argv, sys.path[:], sys.excepthook = before
        os.chdir(cwd)
        # copies of the recipe have modules with the same names
        for name, module in list(sys.modules.items()):
            file = vars(module).get("__file__")  # does not load lazy modules
            if file and Path(file).parent == Path(folder):
                del sys.modules[name]
    return failed, printed.getvalue()


def on(corpus):
    return [f"--data_folder={corpus}", "--protocol=leave_one_session_out"]


def read_predictions(folder, fold):
    with open(
        folder / f"fold_{fold}" / "predictions.csv", newline=""
    ) as stream:
        return list(csv.DictReader(stream))
