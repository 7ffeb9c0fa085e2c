"""Trains by a recipe, from anywhere.

Authors
 * The speechbrain-can developers 2026
"""

import subprocess
import sys
from pathlib import Path

import click


def run_train(hparams_file, arguments):
    """Runs the ``train.py`` that an hparams file belongs to, and ends as it does."""
    from speechbrain_can.training.runs import find_train

    path = Path(hparams_file).absolute()
    command = [sys.executable, str(find_train(path)), str(path), *arguments]
    sys.exit(subprocess.run(command).returncode)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("hparams_file", type=click.Path(exists=True, dir_okay=False))
@click.argument(
    "overrides", metavar="[--KEY=VALUE...]", nargs=-1, type=click.UNPROCESSED
)
def train(hparams_file, overrides):
    """Train and test a model: python train.py of its recipe.

    Results are written where you are, in results/, or to --output_folder.
    """
    run_train(hparams_file, overrides)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("hparams_file", type=click.Path(exists=True, dir_okay=False))
@click.argument(
    "overrides", metavar="[--KEY=VALUE...]", nargs=-1, type=click.UNPROCESSED
)
def prepare(hparams_file, overrides):
    """Prepare the corpus of an hparams file, and train nothing.

    Writes the manifest, the folds, and skipped.csv with the reason for every
    utterance that is left out. Stopped, it goes on when it is started again.
    """
    kept = [o for o in overrides if o.partition("=")[0] != "--fold"]
    run_train(hparams_file, [*kept, "--fold=none"])
