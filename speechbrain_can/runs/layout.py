"""Paths and file names of a run."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable

from speechbrain_can.io.files import InputError
from speechbrain_can.settings.hparams import SETTINGS


class _Name:
    """Attribute that returns the path of a file name in the layout's folder."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, layout: Any, owner: type) -> Path:
        return layout.folder / self.name


@dataclass(frozen=True)
class FoldLayout:
    """Paths of the files of a fold, ``fold_<number>`` in the folder of a run.

    The hparams files name the same ``fold_folder`` and training log.
    """

    folder: Path

    settings = _Name(SETTINGS)
    train_log = _Name("train_log.txt")
    predictions = _Name("predictions.csv")
    valid_predictions = _Name("valid_predictions.csv")
    # those adapted to the speakers, if the model adapts
    adapted_predictions = _Name("adapted_predictions.csv")
    dimensions = _Name("dimensions.csv")  # if the model predicts dimensions
    attention = _Name("attention.csv")
    attention_figure = _Name("attention.png")
    provenance = _Name("provenance.json")
    model = _Name("model")
    result = _Name("result.json")  # written last: marks the fold as finished
    lock = _Name("train.lock")

    @property
    def run(self) -> "RunLayout":
        """The layout of the fold's run."""
        return RunLayout(self.folder.absolute().parent)

    @property
    def finished(self) -> bool:
        """True if the fold is finished."""
        return self.result.exists()

    @property
    def tables(self) -> tuple[Path, ...]:
        """Tables whose checksums the result contains."""
        return (
            *(self.predictions, self.valid_predictions),
            *(self.adapted_predictions, self.dimensions, self.attention),
        )


@dataclass(frozen=True)
class RunLayout:
    """Paths of the files of a run: one system, one seed, all folds.

    Example
    -------
    >>> RunLayout(Path("results/can/1234")).fold(3).predictions.as_posix()
    'results/can/1234/fold_3/predictions.csv'
    """

    folder: Path

    settings = _Name(SETTINGS)
    results = _Name("results.json")
    results_lock = _Name("results.lock")

    def fold(self, number: int) -> FoldLayout:
        """Return the layout of a fold."""
        return FoldLayout(self.folder / f"fold_{number}")

    def folds(self) -> list[FoldLayout]:
        """Return the layouts of the folds that exist, sorted by name."""
        return list(map(FoldLayout, sorted(self.folder.glob("fold_[0-9]*"))))

    def fold_output(self, fold: int | str) -> Path:
        """Return the file for the console output of a parallel trial."""
        return self.folder / f"output_fold_{fold}.txt"


def find_runs(
    folders: Iterable[str | Path],
) -> list[tuple[str, int, RunLayout]]:
    """Return system, seed and layout of the runs in folders, sorted.

    A folder is a run, or contains the runs of one system, ``<seed>``, or of
    several, ``<system>/<seed>``, as ``compare`` writes them. If the folder of a run
    is not named after a seed, its name is the name of the system and the seed is
    read from its settings.

    Raises ``InputError`` for folders without a run, and for duplicates of a system
    and seed.
    """
    runs = {}
    for folder in folders:
        found = _seeded(folder, "*/*[0-9]") or _seeded(folder, "*[0-9]")
        if RunLayout(Path(folder)).folds():
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
    return [(*key, RunLayout(run)) for key, run in sorted(runs.items())]


def _seed_of(run: Path) -> int:
    """Return the seed in the settings of a run, or 0."""
    path = RunLayout(run).settings
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^seed: (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def runs_of_comparison(
    folder: str | Path,
) -> list[tuple[str, int, RunLayout]]:
    """Return system, seed and layout of the runs in ``<system>/<seed>``."""
    return [
        (system, seed, RunLayout(run))
        for system, seed, run in _seeded(folder, "*/*[0-9]")
    ]


def _seeded(folder, pattern):
    paths = sorted(Path(os.path.abspath(folder)).glob(pattern))
    return [
        (path.parent.name, int(path.name), path)
        for path in paths
        if path.name.isdigit() and RunLayout(path).folds()
    ]
