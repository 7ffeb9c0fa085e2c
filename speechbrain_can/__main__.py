"""Command line: ``speechbrain-can COMMAND`` or ``python -m speechbrain_can COMMAND``.

Commands import what they need when they run, to keep ``--help`` fast.
"""

import click

from speechbrain_can.commands.align import align
from speechbrain_can.commands.combine import combine
from speechbrain_can.commands.compare import compare
from speechbrain_can.commands.convert import convert
from speechbrain_can.commands.enroll import enroll
from speechbrain_can.commands.evaluate import evaluate
from speechbrain_can.commands.hparams import hparams
from speechbrain_can.commands.key_attention import key_attention
from speechbrain_can.commands.make_corpus import make_corpus
from speechbrain_can.commands.package import package
from speechbrain_can.commands.predict import predict
from speechbrain_can.commands.report import report
from speechbrain_can.commands.search import search
from speechbrain_can.commands.train import prepare, train
from speechbrain_can.io.console import (
    check_given_once,
    interruptible,
    set_up_console,
)
from speechbrain_can.io.files import LINES, InputError, advice, printable


class Commands(click.Group):
    """Command group in the order of use that reports input errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]):
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            check_given_once(
                rest,
                [
                    option
                    for parameter in command.params
                    if isinstance(parameter, click.Option)
                    and not parameter.multiple
                    for option in parameter.opts
                ],
            )
        return name, command, rest

    def invoke(self, ctx: click.Context):
        set_up_console()
        try:
            with interruptible():
                return super().invoke(ctx)
        except click.ClickException as error:
            error.message = printable(error.message, LINES)
            raise
        # An ImportError names the missing extra.
        except (InputError, ImportError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise  # the reader, such as head, closed the pipe
            text = printable(f"{error}{advice(error)}", LINES)
            raise click.ClickException(text)


@click.group(cls=Commands, context_settings={"max_content_width": 80})
def main():
    """Speech emotion recognition from audio and text aligned word by word."""


for command in (
    prepare,
    train,
    compare,
    search,
    combine,
    report,
    evaluate,
    align,
    predict,
    enroll,
    package,
    convert,
    hparams,
    key_attention,
    make_corpus,
):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="speechbrain-can")
