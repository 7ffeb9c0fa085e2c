"""Paths and file names of a run."""

import os
import re
from pathlib import Path
from typing import Iterable

from speechbrain_can.io.files import InputError

RESULTS = "results.json"
FOLD_RESULT = "result.json"
PROVENANCE = "provenance.json"
PREDICTIONS = "predictions.csv"
VALID_PREDICTIONS = "valid_predictions.csv"
ATTENTION_TABLE = "attention.csv"
TABLES = (PREDICTIONS, VALID_PREDICTIONS, ATTENTION_TABLE)


def fold_result(output_folder: str | Path, fold: int) -> Path:
    """Return the path of a fold's result, which exists once the fold is finished."""
    return Path(output_folder) / f"fold_{fold}" / FOLD_RESULT


def find_runs(folders: Iterable[str | Path]) -> list[tuple[str, int, Path]]:
    """Return system, seed and folder of the runs in folders, sorted.

    A folder is a run, or contains the runs of one system, ``<seed>``, or of
    several, ``<system>/<seed>``, as ``compare`` writes them. If the folder of a run
    is not named after a seed, its name is the name of the system and the seed is
    read from its settings.

    Raises ``InputError`` for folders without a run, and for duplicates of a system
    and seed.
    """
    runs = {}
    for folder in folders:
        found = runs_of_comparison(folder) or _seeded(folder, "*[0-9]")
        if any(Path(folder).glob("fold_[0-9]*")):
            run = Path(os.path.abspath(folder))
            found = [
                (run.parent.name, int(run.name), run)
                if run.name.isdigit()
                else (run.name, _seed_of(run), run)
            ]
        if not found:
            raise InputError(
                f"{folder} contains no run: it has no folder fold_<number>"
            )
        for system, seed, run in found:
            if runs.setdefault((system, seed), run) != run:
                raise InputError(
                    f"{runs[system, seed]} and {run} are both {system}, seed "
                    f"{seed}. Pass one of them or rename a folder."
                )
    return [(*key, run) for key, run in sorted(runs.items())]


def _seed_of(run: Path) -> int:
    """Return the seed in the settings of a run, or 0."""
    path = run / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^seed: (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def runs_of_comparison(folder: str | Path) -> list[tuple[str, int, Path]]:
    """Return system, seed and folder of the runs in ``<system>/<seed>``."""
    return _seeded(folder, "*/*[0-9]")


def _seeded(folder, pattern):
    paths = sorted(Path(os.path.abspath(folder)).glob(pattern))
    return [
        (path.parent.name, int(path.name), path)
        for path in paths
        if path.name.isdigit() and any(path.glob("fold_[0-9]*"))
    ]
