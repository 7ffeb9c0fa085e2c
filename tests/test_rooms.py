"""No module imports from a room above its own."""

import ast
from pathlib import Path
from typing import Iterator

import pytest
from helpers.recipes import ROOT

# From the ground up. Rooms on the same floor do not import each other.
FLOORS = [
    {"io", "lobes"},
    {"encoders", "metrics"},
    {"alignment"},
    {"corpus"},
    {"settings", "features"},
    {"runs"},
    {"model_folder"},
    {"training"},
    {"experiments", "inference", "controlled"},
    {"report"},
    {"commands"},
    {"__main__"},
]
PACKAGE = ROOT / "speechbrain_can"


def imported_rooms(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports from, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == "speechbrain_can":
                yield rest.partition(".")[0]


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_go_down(path):
    room = path.relative_to(PACKAGE).parts[0].replace(".py", "")
    if room == "__init__":
        return
    (floor,) = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    below = set().union(*FLOORS[:floor])
    assert set(imported_rooms(path)) <= below | {room}
