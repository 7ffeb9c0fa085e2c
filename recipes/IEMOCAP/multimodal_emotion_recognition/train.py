#!/usr/bin/env python3
"""Recipe for speech emotion recognition from audio and text aligned word by
word, on IEMOCAP.

To run this recipe, do the following:

> python train.py hparams/can.yaml --data_folder=/path/to/IEMOCAP_full_release

Without a data_folder a small controlled corpus in IEMOCAP's layout is made and
used instead. The model, its parts and the data are all chosen in the YAML file;
the loop over folds is speechbrain_can.training.folds, the Brain is
speechbrain_can.training.brain.

Authors
 * The speechbrain-can developers 2026
"""

import sys

from iemocap_prepare import prepare_iemocap

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main
from speechbrain_can.controlled.generator import make_corpus
from speechbrain_can.hparams import check_folder, read_settings, write_settings
from speechbrain_can.training.folds import run_folds
from speechbrain_can.training.run_options import be_brief, check_run_options

if __name__ == "__main__":
    # Reading command line arguments.
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])

    # Read hyperparameters file with command-line overrides. Its objects are
    # built fold by fold.
    settings = read_settings(hparams_file, overrides)
    hparams = settings.plain()
    check_run_options(run_opts, hparams)

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # An output folder holds the results of one experiment only, that of the
    # hyperparams.yaml in it.
    check_folder(hparams["output_folder"], settings)
    run_on_main(write_settings, args=[hparams["output_folder"], settings])

    # Create experiment directory
    sb.create_experiment_directory(hparams["output_folder"])
    run_opts = be_brief(run_opts)

    # The controlled corpus stands in where the licensed one is not given.
    if hparams["data_folder"] is None:
        folder = hparams["controlled_corpus"]["folder"]
        hparams["preparation"]["data_folder"] = folder
        print(f"No data_folder is given: using the controlled corpus {folder}")
        run_on_main(make_corpus, kwargs=hparams["controlled_corpus"])

    # Data preparation, to be run on only one process.
    run_on_main(
        prepare_iemocap,
        kwargs={
            "save_folder": hparams["prepared_folder"],
            **hparams["preparation"],
        },
    )

    # Train and test the folds that are not finished, print their table.
    run_folds(settings, run_opts)
