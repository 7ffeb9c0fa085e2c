"""Options that several commands share."""

from typing import Callable

import click

SET_BY_MODEL = "  [default: set by the model]"
LOADING = (
    click.option(
        "--whisper",
        help="Whisper model for transcription: a size such as small, a name on the "
        f"hub or a folder.{SET_BY_MODEL}",
    ),
    click.option(
        "--encoder",
        help="Pretrained audio encoder: a name on the hub or a folder."
        f"{SET_BY_MODEL}",
    ),
    click.option(
        "--text-encoder",
        help="Pretrained text encoder: a name on the hub or a folder."
        f"{SET_BY_MODEL}",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="cpu, cuda:0, ...; auto: a GPU if there is one.",
    ),
)


def loading_options(command: Callable) -> Callable:
    """Add the options of ``load_recognizer`` to a command."""
    for option in reversed(LOADING):
        command = option(command)
    return command
