"""Entry point of the recipes' ``train.py``: prepare the corpus, train its folds."""

import logging
import sys
from typing import Sequence

from hyperpyyaml import load_hyperpyyaml

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main
from speechbrain_can.files import InputError, advice
from speechbrain_can.hparams import (
    NO_FOLD,
    check_folder,
    read_settings,
    write_settings,
)
from speechbrain_can.training.folds import run_folds
from speechbrain_can.training.run_options import (
    check_run_options,
    reduce_console_output,
)
from speechbrain_can.training.settings_check import check_settings


def run_recipe(arguments: Sequence[str]) -> None:
    """Run an hparams file; input errors end it with a message instead of a traceback.

    Operating system errors, such as a full disk, are reported in the same way.
    With SpeechBrain's ``--debug``, the traceback is printed as well.

    Arguments
    ---------
    arguments : list of str
        See ``train_recipe``.
    """
    debug = "--debug" in arguments
    # On a full disk, logging would print a traceback for every line.
    logging.raiseExceptions = debug
    try:
        train_recipe(arguments)
    except (InputError, ImportError, OSError) as error:
        if debug:
            raise
        sys.exit(f"{type(error).__name__}: {error}{advice(error)}")


def train_recipe(arguments: Sequence[str]) -> None:
    """Prepare the corpus of an hparams file and train its folds.

    ``preparation`` names the function that prepares the corpus and all of its
    arguments except ``save_folder``. ``--fold=none`` only prepares the corpus.

    Arguments
    ---------
    arguments : list of str
        Command line: the hparams file, overrides and SpeechBrain's run options.
    """
    # Reading command line arguments.
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)

    # Load the hyperparameters file with command-line overrides. Its objects
    # are built for each fold.
    settings = read_settings(hparams_file, overrides)
    hparams = settings.plain()
    check_run_options(run_opts, hparams)
    check_settings(settings)

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # An output folder belongs to one experiment, specified by the
    # hyperparams.yaml in it.
    check_folder(hparams["output_folder"], settings)
    run_on_main(write_settings, args=[hparams["output_folder"], settings])

    # Create experiment directory
    sb.create_experiment_directory(hparams["output_folder"])
    run_opts = reduce_console_output(run_opts)

    # Data preparation, to be run on only one process.
    prepare = load_hyperpyyaml(settings.part(["preparation"]))["preparation"]
    run_on_main(prepare, kwargs={"save_folder": hparams["prepared_folder"]})

    # Train and test the folds that are not finished, print their table.
    if settings.fold != NO_FOLD:
        run_folds(settings, run_opts)
