#!/usr/bin/env python3
"""Recipe for speech emotion recognition from audio and text aligned word by word.

To run this recipe, do the following:

> python train.py hparams/can.yaml --data_folder=/path/to/corpus

The YAML file names the data preparation and the modules of the model.
speechbrain_can.training.recipe contains the steps of the recipe, and
speechbrain_can.training.brain the Brain. This file is identical in all recipes.
"""

import sys

from speechbrain_can.training.recipe import run_recipe

if __name__ == "__main__":
    run_recipe(sys.argv[1:])
