"""Data, weights and programs that the repository does not contain.

A test requests a resource with the fixture of the same name, which also marks
the test. Each resource has one environment variable. Without it, the test is
skipped; if it is set to something unusable, the test fails.
"""

import os
from pathlib import Path

import pytest

VARIABLES = {
    "data": "SPEECHBRAIN_CAN_DATA",
    "whisper": "SPEECHBRAIN_CAN_WHISPER",
    "browser": "SPEECHBRAIN_CAN_BROWSER",
}


def mark(item: pytest.Item) -> None:
    """Mark a test with the resources that its fixtures request."""
    for name in VARIABLES:
        if name in getattr(item, "fixturenames", ()):
            item.add_marker(name)


def locate(name: str, *contents: str) -> Path:
    """Return the path of a resource; skip the test if its variable is unset.

    ``contents`` are the entries that a folder must have.
    """
    variable = VARIABLES[name]
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    path = Path(value).absolute()
    missing = [
        entry for entry in ("", *contents) if not (path / entry).exists()
    ]
    if missing:
        pytest.fail(f"{variable}: {path / missing[0]} does not exist")
    return path
