"""Comparison of systems on the same folds, as in the paper's Tables 2 to 4.

``speechbrain-can compare`` trains each system with the ``train.py`` of its recipe, on
the same prepared corpus, folds and seeds. Finished folds are skipped. Tables are
computed from the results of the folds.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

import torch
from tqdm import tqdm

import speechbrain as sb
from speechbrain_can.corpus.fold_lists import count_folds, read_folds
from speechbrain_can.corpus.prepared import folds_path
from speechbrain_can.io.files import printable, read_json
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.runs.layout import RunLayout, runs_of_comparison
from speechbrain_can.runs.results import check_settings_of_run, read_provenance
from speechbrain_can.runs.summary import collect
from speechbrain_can.settings.hparams import (
    ALL_FOLDS,
    SETTINGS,
    Settings,
    SettingsError,
    read_settings,
)

OUTPUT = "output.txt"


@dataclass(frozen=True)
class Run:
    """One system with one seed.

    Arguments
    ---------
    hparams_file : Path
        HyperPyYAML file; the recipe's ``train.py`` is in a parent folder.
    seed : int
        The seed.
    folder : Path
        Output folder.
    arguments : tuple of str
        Overrides and run options for ``train.py``.
    settings : Settings
        The file with overrides applied.
    """

    hparams_file: Path
    seed: int
    folder: Path
    arguments: tuple
    settings: Settings

    @property
    def layout(self) -> RunLayout:
        """Paths of the run."""
        return RunLayout(self.folder)

    @property
    def system(self) -> str:
        """Name of the hparams file."""
        return self.hparams_file.stem

    def command(self) -> list[str]:
        """Return the training command."""
        return [
            sys.executable,
            str(find_train(self.hparams_file)),
            str(self.hparams_file),
            *self.arguments,
        ]


def find_train(hparams_file: str | Path) -> Path:
    """Return the ``train.py`` of the recipe that contains an hparams file."""
    folders = Path(hparams_file).absolute().parents
    scripts = (folder / "train.py" for folder in folders)
    train = next((path for path in scripts if path.exists()), None)
    if train is None:
        raise SettingsError(
            f"{hparams_file} does not belong to a recipe: no parent folder "
            "contains a train.py"
        )
    return train


def plan_runs(
    hparams_files: Iterable[str | Path],
    seeds: Iterable[int],
    output_folder: str | Path,
    arguments: Sequence[str],
    prepared_folder: str | Path | None = None,
) -> list[Run]:
    """Return the runs of a comparison, seed by seed.

    They share ``prepared_folder``; None is ``prepared`` in the output folder.
    """
    output_folder = Path(output_folder)
    prepared = prepared_folder or output_folder / "prepared"
    runs = {}
    for seed in seeds:
        for hparams_file in map(Path, hparams_files):
            folder = output_folder / hparams_file.stem / str(seed)
            if folder in runs:
                raise SettingsError(
                    f"{hparams_file.stem} with seed {seed} occurs twice. Use "
                    "hparams files with different names."
                )
            runs[folder] = plan_run(
                hparams_file, seed, folder, prepared, arguments
            )
    return list(runs.values())


def plan_run(
    hparams_file: str | Path,
    seed: int,
    folder: str | Path,
    prepared_folder: str | Path,
    arguments: Sequence[str],
) -> Run:
    """Return the run of a system with a seed."""
    every = (
        f"--seed={seed}",
        f"--output_folder={folder}",
        f"--prepared_folder={prepared_folder}",
        *arguments,
    )
    _, _, overrides = sb.parse_arguments([str(hparams_file), *every])
    settings = read_settings(hparams_file, overrides)
    return Run(Path(hparams_file), seed, Path(folder), every, settings)


def check_runs(runs: list[Run], output_folder: str | Path) -> None:
    """Refuse runs that cannot be compared, before any training.

    Runs are refused if their data or folds differ, a folder was started with
    different settings, an hparams file does not belong to a recipe, or existing
    results are incompatible.
    """
    for run in runs:
        run.command()
    settings = {str(run.hparams_file): run.settings for run in runs}
    for path in sorted(Path(output_folder).glob(f"*/*/{SETTINGS}")):
        settings[str(path)] = read_settings(path)
    shared = {
        # these settings determine utterances and folds
        name: one.texts("preparation")
        for name, one in settings.items()
    }
    first = str(runs[0].hparams_file)
    for name, values in shared.items():
        for key in {**shared[first], **values}:
            if values.get(key) != shared[first].get(key):
                raise SettingsError(
                    f"runs cannot be compared: {key} is {values.get(key)} in {name} "
                    f"and {shared[first].get(key)} in {first}. Set one value for "
                    f"all with --{key}=..., or use another --output-folder."
                )
    for run in runs:
        check_settings_of_run(run.layout, run.settings)
    collect(runs_of_comparison(output_folder))


def requested_folds(run: Run) -> list[int]:
    """Return the selected folds; empty while the corpus is not prepared."""
    settings = run.settings.plain()
    path = folds_path(
        settings["prepared_folder"], settings["preparation"]["protocol"]
    )
    if not path.exists():
        fold = run.settings.fold
        if fold == ALL_FOLDS:
            return []
        return fold if isinstance(fold, list) else [fold]
    return run.settings.asked_folds(count_folds(read_folds(path)))


def train_all(runs: list[Run], workers: int) -> list[Run]:
    """Train runs in parallel and show the progress; return the failed runs.

    The output of a run goes to ``output.txt`` in its folder. Failed runs do not
    stop the others. Runs share the threads of this machine equally, which is
    faster for small matrices than running one after the other. On a machine with
    several GPUs, runs take turns on them.
    """
    threads = max(1, torch.get_num_threads() // workers)
    waiting, running, failed = list(runs), {}, []
    free, slots, gpus = list(range(workers)), {}, visible_gpus()
    progress = Progress(runs)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                run = waiting.pop(0)
                slots[run] = free.pop(0)
                gpu = gpus[slots[run] % len(gpus)] if gpus else None
                running[run] = _start(run, threads, gpu)
            time.sleep(1)
            ended = [run for run in running if running[run].poll() is not None]
            for run in ended:
                status = running.pop(run).returncode
                free.append(slots.pop(run))
                if status:
                    failed.append(run)
                    progress.bar.write(
                        describe_failure(run, status, run.folder / OUTPUT)
                    )
            progress.show(running)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
        progress.bar.close()
    return failed


def visible_gpus() -> list[str]:
    """Return the GPUs that runs are distributed over; empty for fewer than two."""
    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = listed.split(",") if listed else list(map(str, range(count)))
    return gpus[:count] if count > 1 else []


def _start(run, threads, gpu=None):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / OUTPUT, "wb") as output:
        return subprocess.Popen(
            run.command(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def describe_failure(run: Run, status: int, path: Path) -> str:
    """Return the last line that a failed run printed, and the path of its output."""
    text = (
        path.read_text(encoding="utf-8", errors="replace")
        if path.exists()
        else ""
    )
    lines = text.splitlines()
    cause = lines[-1] if lines and status > 0 else f"exit status {status}"
    return f"{run.system}, seed {run.seed} failed: {cause}\nSee {path}."


class Progress:
    """Progress of a comparison in folds, with the estimated remaining time.

    Arguments
    ---------
    runs : list of Run
        The runs.
    """

    def __init__(self, runs: list[Run]):
        self.runs = runs
        self.folds = requested_folds(runs[0])
        self.finished = self._finished()
        # A terminal shows a progress bar, a file one line per minute.
        self.bar = tqdm(
            desc="comparison",
            unit="fold",
            total=self._total(),
            initial=len(self.finished),
            smoothing=0,
            miniters=0,
            mininterval=0.5 if sys.stderr.isatty() else 60,
        )

    def show(self, running: Iterable[Run]) -> None:
        """Show newly finished folds and the current runs."""
        self.folds = self.folds or requested_folds(self.runs[0])
        self.bar.total = self._total()
        finished = self._finished()
        for fold in finished - self.finished:
            result = read_json(fold.result)
            *_, system, seed, _ = fold.folder.parts
            result.update(read_provenance(fold))
            reached = ", ".join(f"{m} {result[m]:.3f}" for m in METRICS)
            took = f", {result['seconds']:.0f} s" if "seconds" in result else ""
            self.bar.write(
                printable(
                    "{}, seed {}, fold {fold}: {}, {epochs} epochs{}".format(
                        system, seed, reached, took, **result
                    )
                )
            )
        new = len(finished) - len(self.finished)
        self.finished = finished
        self.bar.set_postfix_str(
            printable(", ".join(map(self._position, running))), refresh=False
        )
        self.bar.update(new)

    def _total(self):
        return len(self.runs) * len(self.folds) or None

    def _finished(self):
        folds = (
            run.layout.fold(fold) for run in self.runs for fold in self.folds
        )
        return {fold for fold in folds if fold.finished}

    def _position(self, run: Run) -> str:
        """Return the first unfinished fold of a run, with its epoch."""
        for fold in self.folds:
            layout = run.layout.fold(fold)
            if not layout.finished:
                log = layout.train_log
                epochs = log.read_text().count("\n") if log.exists() else 0
                return f"{run.system} fold {fold} epoch {epochs + 1}"
        return run.system
