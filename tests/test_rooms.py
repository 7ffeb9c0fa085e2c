"""Data flows one way: no room imports from one above it."""

import ast

import pytest
from helpers.recipes import ROOT

# from the ground up; rooms of one floor do not know each other
FLOORS = [
    {"files", "lobes"},
    {"hub"},
    {"alignment", "audio", "results"},
    {"corpus"},
    {"hparams", "features"},
    {"integrations"},
    {"training"},
    {"inference", "controlled"},
    {"reporting"},
    {"commands"},
    {"__main__"},
]
PACKAGE = ROOT / "speechbrain_can"


def imported(path):
    """Rooms that a file imports from, also within its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == "speechbrain_can":
                yield rest.partition(".")[0]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].replace(".py", "")


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_arrow_runs_back_up(path):
    room = room_of(path)
    if room == "__init__":
        return
    (floor,) = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    below = set().union(*FLOORS[:floor])
    assert set(imported(path)) <= below | {room}
