#!/usr/bin/env python3
"""Recipe for speech emotion recognition from audio and text aligned word by word.

To run this recipe, do the following:

> python train.py hparams/can.yaml --data_folder=/path/to/corpus

The preparation of the corpus, the model and its parts are all named in the YAML
file. What this does, step by step, is in speechbrain_can.training.recipe; the
Brain is speechbrain_can.training.brain. The file is the same in every recipe."""

import sys

from speechbrain_can.training.recipe import run_recipe

if __name__ == "__main__":
    run_recipe(sys.argv[1:])
