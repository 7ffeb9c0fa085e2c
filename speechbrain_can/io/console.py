"""Console output: encodings, interruptions, and options that are given twice."""

import sys
from contextlib import contextmanager
from typing import Iterator, Sequence

from speechbrain_can.io.files import InputError

INTERRUPTED = 130  # exit status of a command that Ctrl-C ended, as in shells


def tolerate_encodings() -> None:
    """Escape characters that the encoding of a pipe or terminal does not contain."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def interruptible(advice: str = "") -> Iterator[None]:
    """End with one line and status 130 after Ctrl-C, instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nInterrupted. {advice}".rstrip(), file=sys.stderr)
        sys.exit(INTERRUPTED)


def check_given_once(
    arguments: Sequence[str], options: Sequence[str] | None = None
) -> None:
    """Raise an ``InputError`` for an option that is given more than once.

    Checks the named options, or all that start with ``--``.

    Example
    -------
    >>> check_given_once(["can.yaml", "--fold=0", "--lr=0.1"])
    """
    given = [
        argument.partition("=")[0]
        for argument in arguments
        if argument.startswith("--")
    ]
    for option in given if options is None else options:
        if given.count(option) > 1:
            raise InputError(
                f"{option} is given {given.count(option)} times. Pass it once."
            )
