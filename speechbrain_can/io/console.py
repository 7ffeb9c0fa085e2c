"""Console output: encodings, escapes, interruptions, and repeated options."""

import logging
import sys
import traceback
from contextlib import contextmanager
from typing import Iterator, Sequence, TextIO

from speechbrain_can.io.files import LINES, InputError, printable

INTERRUPTED = 130  # exit status of a command that Ctrl-C ended, as in shells


def set_up_console() -> None:
    """Escape characters in output and logs that a terminal cannot show safely.

    These are control characters, and those that the encoding does not contain.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.setLogRecordFactory(PrintableRecord)


class PrintableRecord(logging.LogRecord):
    """Log record whose message and traceback contain no control characters."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0]:
            text = "".join(traceback.format_exception(*self.exc_info))
            self.exc_text = printable(text.rstrip(), LINES)

    def getMessage(self):
        """Return the message; see ``printable``."""
        return printable(super().getMessage(), LINES)


def show(text: object, stream: TextIO | None = None) -> None:
    """Print text that may contain names from files or tables; see ``printable``."""
    print(printable(text, LINES), file=stream)


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
