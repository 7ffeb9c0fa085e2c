"""What every recipe's ``train.py`` does: prepare the corpus, train its folds."""

import logging
import sys

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
from speechbrain_can.training.run_options import be_brief, check_run_options
from speechbrain_can.training.settings_check import check_settings


def run_recipe(arguments):
    """Runs an hparams file; what cannot be used ends it with a message alone.

    So does a disk that is full, or that nothing can be written to. With
    SpeechBrain's ``--debug`` the traceback is printed as well.

    Arguments
    ---------
    arguments : list of str
        As ``train_recipe`` takes them.
    """
    debug = "--debug" in arguments
    # The log is on the same disk: what fails there would be told for every line.
    logging.raiseExceptions = debug
    try:
        train_recipe(arguments)
    except (InputError, ImportError, OSError) as error:
        if debug:
            raise
        sys.exit(f"{type(error).__name__}: {error}{advice(error)}")


def train_recipe(arguments):
    """Prepares the corpus of an hparams file and trains its folds.

    ``preparation`` names the function that prepares the corpus, with all of its
    arguments but ``save_folder``. With ``--fold=none`` nothing is trained.

    Arguments
    ---------
    arguments : list of str
        Of the command line: the hparams file, overrides and SpeechBrain's run
        options.
    """
    # Reading command line arguments.
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)

    # Read hyperparameters file with command-line overrides. Its objects are
    # built fold by fold.
    settings = read_settings(hparams_file, overrides)
    hparams = settings.plain()
    check_run_options(run_opts, hparams)
    check_settings(settings)

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # An output folder holds the results of one experiment only, that of the
    # hyperparams.yaml in it.
    check_folder(hparams["output_folder"], settings)
    run_on_main(write_settings, args=[hparams["output_folder"], settings])

    # Create experiment directory
    sb.create_experiment_directory(hparams["output_folder"])
    run_opts = be_brief(run_opts)

    # Data preparation, to be run on only one process.
    prepare = load_hyperpyyaml(settings.part(["preparation"]))["preparation"]
    run_on_main(prepare, kwargs={"save_folder": hparams["prepared_folder"]})

    # Train and test the folds that are not finished, print their table.
    if settings.fold != NO_FOLD:
        run_folds(settings, run_opts)
