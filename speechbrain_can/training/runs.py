"""Compares systems: the paper's Tables 2 to 4 from one command.

``python -m speechbrain_can compare``, called in a recipe, is its command.
Every system is trained by its recipe's ``train.py``, with the same folds and
seeds, from one prepared corpus; what is finished is not done again. What the
systems reached, and by how much that differs from CAN, is then read from the
results of their folds."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

import speechbrain as sb
from speechbrain_can.corpus.folds import count_folds, read_folds
from speechbrain_can.corpus.prepare import folds_path
from speechbrain_can.files import read_json
from speechbrain_can.hparams import (
    ALL_FOLDS,
    SETTINGS,
    Settings,
    SettingsError,
    check_folder,
    read_settings,
)
from speechbrain_can.results.folds import (
    collect,
    fold_result,
    read_provenance,
    runs_of_comparison,
)
from speechbrain_can.results.metrics import METRICS

OUTPUT = "output.txt"


@dataclass(frozen=True)
class Run:
    """One system with one seed, on the folds that are asked for.

    Arguments
    ---------
    hparams_file : Path
        HyperPyYAML; its recipe's ``train.py`` is in a folder above.
    seed : int
        The seed.
    folder : Path
        Its output folder.
    arguments : tuple of str
        Overrides and run options, as ``train.py`` takes them.
    settings : Settings
        What file and overrides come to.
    """

    hparams_file: Path
    seed: int
    folder: Path
    arguments: tuple
    settings: Settings

    @property
    def system(self):
        """str : the name of the hparams file."""
        return self.hparams_file.stem

    def command(self):
        """The command that trains it, a list of str."""
        return [
            sys.executable,
            str(find_train(self.hparams_file)),
            str(self.hparams_file),
            *self.arguments,
        ]


def find_train(hparams_file):
    """The ``train.py`` of the recipe that an hparams file is in."""
    folders = Path(hparams_file).absolute().parents
    scripts = (folder / "train.py" for folder in folders)
    train = next((path for path in scripts if path.exists()), None)
    if train is None:
        raise SettingsError(f"no folder above {hparams_file} has a train.py")
    return train


def plan_runs(hparams_files, seeds, output_folder, arguments):
    """Lists the runs of a comparison, a seed after the other."""
    output_folder = Path(output_folder)
    runs = {}
    for seed in seeds:
        for hparams_file in map(Path, hparams_files):
            folder = output_folder / hparams_file.stem / str(seed)
            if folder in runs:
                raise SettingsError(
                    f"{hparams_file.stem} with seed {seed} is given twice; "
                    "every hparams file needs a name of its own"
                )
            prepared = output_folder / "prepared"
            runs[folder] = plan_run(
                hparams_file, seed, folder, prepared, arguments
            )
    return list(runs.values())


def plan_run(hparams_file, seed, folder, prepared_folder, arguments):
    """A run of a system in a folder."""
    every = (
        f"--seed={seed}",
        f"--output_folder={folder}",
        f"--prepared_folder={prepared_folder}",
        *arguments,
    )
    _, _, overrides = sb.parse_arguments([str(hparams_file), *every])
    settings = read_settings(hparams_file, overrides)
    return Run(Path(hparams_file), seed, Path(folder), every, settings)


def check_runs(runs, output_folder):
    """Refuses, before hours of training, runs that cannot be compared.

    Two have other data or folds, a folder was begun with other settings, an
    hparams file belongs to no recipe, or a result is of another version.
    """
    for run in runs:
        run.command()
    settings = {str(run.hparams_file): run.settings for run in runs}
    for path in sorted(Path(output_folder).glob(f"*/*/{SETTINGS}")):
        settings[str(path)] = read_settings(path)
    shared = {
        # on which utterances and folds a run trains and is tested
        name: one.texts("preparation")
        for name, one in settings.items()
    }
    first = str(runs[0].hparams_file)
    for name, values in shared.items():
        for key in {**shared[first], **values}:
            if values.get(key) != shared[first].get(key):
                raise SettingsError(
                    f"{name} has {key}: {values.get(key)} and {first} has "
                    f"{shared[first].get(key)}; give one for all with "
                    f"--{key}=..., or another --output_folder"
                )
    for run in runs:
        check_folder(run.folder, run.settings)
    collect(runs_of_comparison(output_folder))


def requested_folds(run):
    """Numbers of the folds asked for; none while the corpus is not prepared."""
    settings = run.settings.plain()
    path = folds_path(
        settings["prepared_folder"], settings["preparation"]["protocol"]
    )
    if not path.exists():
        return [] if run.settings.fold == ALL_FOLDS else [run.settings.fold]
    return run.settings.asked_folds(count_folds(read_folds(path)))


def train_all(runs, workers):
    """Trains the runs, some side by side, and shows how far they are.

    What a run prints goes to ``output.txt`` in its folder. One that fails does
    not stop the others. Each run gets its share of the threads, which on small
    matrices is faster than one run after the other on all of them.
    """
    threads = max(1, torch.get_num_threads() // workers)
    waiting, running, failed = list(runs), {}, []
    progress = Progress(runs)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                run = waiting.pop(0)
                running[run] = _start(run, threads)
            time.sleep(1)
            ended = [run for run in running if running[run].poll() is not None]
            for run in ended:
                status = running.pop(run).returncode
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


def _start(run, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / OUTPUT, "wb") as output:
        return subprocess.Popen(
            run.command(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def describe_failure(run, status, path):
    """The last line of what a run printed, or how it ended; and where it is."""
    text = (
        path.read_text(encoding="utf-8", errors="replace")
        if path.exists()
        else ""
    )
    lines = text.splitlines()
    cause = lines[-1] if lines and status > 0 else f"it ended with {status}"
    return f"{run.system}, seed {run.seed}, failed: {cause}\nSee {path}"


class Progress:
    """How far a comparison is, in folds, and how long it still takes.

    Arguments
    ---------
    runs : list of Run
        The runs.
    """

    def __init__(self, runs):
        self.runs = runs
        self.folds = requested_folds(runs[0])
        self.finished = self._finished()
        # A terminal gets a bar that moves, a file a line a minute.
        self.bar = tqdm(
            desc="comparison",
            unit="fold",
            total=self._total(),
            initial=len(self.finished),
            smoothing=0,
            miniters=0,
            mininterval=0.5 if sys.stderr.isatty() else 60,
        )

    def show(self, running):
        """Shows what has been finished since, and what is running."""
        self.folds = self.folds or requested_folds(self.runs[0])
        self.bar.total = self._total()
        finished = self._finished()
        for path in finished - self.finished:
            result = read_json(path)
            *_, system, seed, _, _ = path.parts
            result.update(read_provenance(path.parents[1], result["fold"]))
            reached = ", ".join(f"{m} {result[m]:.3f}" for m in METRICS)
            took = f", {result['seconds']:.0f} s" if "seconds" in result else ""
            self.bar.write(
                "{}, seed {}, fold {fold}: {}, {epochs} epochs{}".format(
                    system, seed, reached, took, **result
                )
            )
        new = len(finished) - len(self.finished)
        self.finished = finished
        self.bar.set_postfix_str(
            ", ".join(map(self._position, running)), refresh=False
        )
        self.bar.update(new)

    def _total(self):
        return len(self.runs) * len(self.folds) or None

    def _finished(self):
        paths = (
            fold_result(run.folder, fold)
            for run in self.runs
            for fold in self.folds
        )
        return {path for path in paths if path.exists()}

    def _position(self, run):
        """Where a run is: the first fold that is not finished, and its epoch."""
        for fold in self.folds:
            result = fold_result(run.folder, fold)
            if not result.exists():
                log = result.with_name("train_log.txt")
                epochs = log.read_text().count("\n") if log.exists() else 0
                return f"{run.system} fold {fold} epoch {epochs + 1}"
        return run.system
