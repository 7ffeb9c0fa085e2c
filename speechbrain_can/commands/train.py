"""``speechbrain-can train`` and ``prepare``: run a recipe from any folder."""

import subprocess
import sys
from pathlib import Path
from typing import NoReturn, Sequence

import click


def run_train(hparams_file: str | Path, arguments: Sequence[str]) -> NoReturn:
    """Run the ``train.py`` of an hparams file and exit with its status."""
    from speechbrain_can.experiments.compare import find_train

    path = Path(hparams_file).absolute()
    command = [sys.executable, str(find_train(path)), str(path), *arguments]
    with subprocess.Popen(command) as process:
        while True:
            try:
                sys.exit(process.wait())
            # The process receives Ctrl-C as well and ends by itself.
            except KeyboardInterrupt:
                pass


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("hparams_file", type=click.Path(exists=True, dir_okay=False))
@click.argument(
    "overrides", metavar="[--KEY=VALUE...]", nargs=-1, type=click.UNPROCESSED
)
def train(hparams_file, overrides):
    """Train and test a model by running train.py of its recipe.

    Results are written to results/ in the current folder, or to
    --output_folder.
    """
    run_train(hparams_file, overrides)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("hparams_file", type=click.Path(exists=True, dir_okay=False))
@click.argument(
    "overrides", metavar="[--KEY=VALUE...]", nargs=-1, type=click.UNPROCESSED
)
def prepare(hparams_file, overrides):
    """Prepare the corpus of an hparams file without training.

    Writes the manifest, the folds, and skipped.csv with the reason for each
    skipped utterance. An interrupted preparation resumes when the command is run
    again.
    """
    kept = [o for o in overrides if o.partition("=")[0] != "--fold"]
    run_train(hparams_file, [*kept, "--fold=none"])
