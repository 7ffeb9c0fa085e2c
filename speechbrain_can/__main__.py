"""Command line: ``python -m speechbrain_can COMMAND``.

Each command is a file in ``commands``; what it needs is imported when it runs.

Authors
 * The speechbrain-can developers 2026
"""

import click

from speechbrain_can.commands.compare import compare
from speechbrain_can.commands.hparams import hparams
from speechbrain_can.commands.key_attention import key_attention
from speechbrain_can.commands.make_corpus import make_corpus
from speechbrain_can.commands.predict import predict
from speechbrain_can.files import InputError


class Commands(click.Group):
    """Commands whose errors of input are told without a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.ClickException(str(error))


@click.group(cls=Commands, context_settings={"max_content_width": 80})
def main():
    """Speech emotion recognition from audio and text aligned word by word.

    A model is trained by the train.py of a recipe; these commands go with it.
    """


for command in (compare, hparams, key_attention, make_corpus, predict):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m speechbrain_can")
