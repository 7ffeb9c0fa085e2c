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
from speechbrain_can.hparams import check_settings, load_hparams
from speechbrain_can.training.folds import run_folds
from speechbrain_can.training.run_options import check_run_options

if __name__ == "__main__":
    # Reading command line arguments.
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    check_run_options(run_opts)

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # Load hyperparameters file with command-line overrides.
    hparams = load_hparams(hparams_file, overrides)

    # An output folder holds the results of one experiment only, that of the
    # hyperparams.yaml in it.
    run_on_main(
        check_settings,
        args=[hparams["output_folder"], hparams_file, overrides],
    )

    # Create experiment directory
    sb.create_experiment_directory(hparams["output_folder"])

    # The embedded corpus stands in where the licensed one is not given.
    if hparams["data_folder"] is None:
        hparams["data_folder"] = hparams["embedded_folder"]
        print(
            "No data_folder is given: using the embedded corpus in "
            f"{hparams['embedded_folder']}"
        )
        run_on_main(
            make_corpus,
            kwargs={
                "folder": hparams["embedded_folder"],
                "utterances": hparams["embedded_utterances"],
                "sentences": hparams["embedded_sentences"],
                "agree": hparams["embedded_agree"],
                "seed": hparams["embedded_seed"],
            },
        )

    # Data preparation, to be run on only one process.
    run_on_main(
        prepare_iemocap,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["prepared_folder"],
            "classes": hparams["classes"],
            "protocol": hparams["protocol"],
            "fold_seed": hparams["fold_seed"],
        },
    )

    # Train and test the folds that are not finished, print their table.
    run_folds(hparams, hparams_file, run_opts, overrides)
