"""Compares systems: the paper's Tables 2 to 4 from one command.

    cd recipes/<Dataset>/multimodal_emotion_recognition
    python -m speechbrain_can.commands.compare hparams/*.yaml --data_folder=...

Every system is trained by its recipe's ``train.py``, with the same folds and
seeds, from one prepared corpus; what is finished is not done again. What the
systems reached, and by how much that differs from CAN, is then read from the
results of their folds.

Authors
 * The speechbrain-can developers 2026
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ruamel.yaml
import torch
from hyperpyyaml import resolve_references
from tqdm import tqdm

import speechbrain as sb
from speechbrain_can.corpus.protocols import count_folds, read_folds
from speechbrain_can.files import read_json
from speechbrain_can.hparams import (
    ALL_FOLDS,
    SETTINGS,
    SettingsError,
    check_settings,
    read_hparams,
    requested_fold,
)
from speechbrain_can.results.folds import fold_result

OUTPUT = "output.txt"


SHARED_SETTINGS = (
    "data_folder",
    "embedded_folder",
    "canonical_text",
    "protocol",
    "fold_seed",
    "classes",
)


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
    """

    hparams_file: Path
    seed: int
    folder: Path
    arguments: tuple

    @property
    def system(self):
        """str : the name of the hparams file."""
        return self.hparams_file.stem

    @property
    def overrides(self):
        """str : the overrides, as ``train.py`` reads them."""
        return sb.parse_arguments([str(self.hparams_file), *self.arguments])[2]

    def command(self):
        """The command that trains it.

        Returns
        -------
        list of str
            A command.

        Raises
        ------
        SettingsError
            If there is no ``train.py`` above the hparams file.
        """
        folders = self.hparams_file.absolute().parents
        scripts = [folder / "train.py" for folder in folders]
        train = next((path for path in scripts if path.exists()), None)
        if train is None:
            raise SettingsError(
                f"no folder above {self.hparams_file} has a train.py"
            )
        return [
            sys.executable,
            str(train),
            str(self.hparams_file),
            *self.arguments,
            "--noprogressbar",
        ]

    def settings(self):
        """Its hparams with every reference resolved and no object built.

        Returns
        -------
        dict
            The hyper-parameters.
        """
        resolved = resolve_references(
            read_hparams(self.hparams_file), self.overrides
        )
        return ruamel.yaml.YAML().load(resolved)


def plan_runs(hparams_files, seeds, output_folder, arguments):
    """Lists the runs of a comparison, a seed after the other.

    Arguments
    ---------
    hparams_files : list of str or Path
        The systems.
    seeds : list of int
        The seeds.
    output_folder : str or Path
        The comparison.
    arguments : list of str
        What every run gets.

    Returns
    -------
    list of Run
        The runs.

    Raises
    ------
    SettingsError
        If two of them have the same system, by the name of its file, and seed.
    """
    output_folder = Path(output_folder)
    runs, folders = [], set()
    for seed in seeds:
        for hparams_file in map(Path, hparams_files):
            folder = output_folder / hparams_file.stem / str(seed)
            if folder in folders:
                raise SettingsError(
                    f"{hparams_file.stem} with seed {seed} is given twice; "
                    "every hparams file needs a name of its own"
                )
            folders.add(folder)
            own = {
                "seed": seed,
                "output_folder": folder,
                "prepared_folder": output_folder / "prepared",
            }
            runs.append(
                Run(
                    hparams_file,
                    seed,
                    folder,
                    (
                        *(f"--{key}={value}" for key, value in own.items()),
                        *arguments,
                    ),
                )
            )
    return runs


def check_runs(runs, output_folder):
    """Checks, before hours of training, that the runs can be compared.

    Arguments
    ---------
    runs : list of Run
        The runs.
    output_folder : str or Path
        The comparison, which may hold earlier runs.

    Raises
    ------
    SettingsError
        If two have different data or folds, if a folder was begun with other
        settings, or if an hparams file belongs to no recipe.
    """
    for run in runs:
        run.command()
    settings = {str(run.hparams_file): run.settings() for run in runs}
    for path in sorted(Path(output_folder).glob(f"*/*/{SETTINGS}")):
        settings[str(path)] = ruamel.yaml.YAML().load(path)
    first = str(runs[0].hparams_file)
    for name, other in settings.items():
        for key in SHARED_SETTINGS:
            if other.get(key) != settings[first].get(key):
                raise SettingsError(
                    f"{name} has {key}: {other.get(key)} and {first} has "
                    f"{settings[first].get(key)}; give one for all with "
                    f"--{key}=..., or another --output_folder"
                )
    for run in runs:
        check_settings(run.folder, run.hparams_file, run.overrides)


def requested_folds(run):
    """The folds that a run is asked for.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    list of int
        Their numbers; none while the corpus is not prepared.
    """
    requested = requested_fold(run.hparams_file, run.overrides)
    if requested != ALL_FOLDS:
        return [requested]
    settings = run.settings()
    folds = Path(
        settings["prepared_folder"], f"folds_{settings['protocol']}.csv"
    )
    return list(range(count_folds(read_folds(folds)))) if folds.exists() else []


def train_all(runs, workers):
    """Trains the runs, some side by side, and shows how far they are.

    What a run prints goes to ``output.txt`` in its folder. One that fails does
    not stop the others. Each run gets its share of the threads, which on small
    matrices is faster than one run after the other on all of them.

    Arguments
    ---------
    runs : list of Run
        The runs.
    workers : int
        How many at a time.

    Returns
    -------
    list of Run
        Those that failed.
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
                    progress.bar.write(_why_it_failed(run, status))
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


def _why_it_failed(run, status):
    path = run.folder / OUTPUT
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
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
        """Shows what has been finished since, and what is running.

        Arguments
        ---------
        running : iterable of Run
            The runs that are being trained.
        """
        self.folds = self.folds or requested_folds(self.runs[0])
        self.bar.total = self._total()
        finished = self._finished()
        for path in finished - self.finished:
            result = read_json(path)
            *_, system, seed, _, _ = path.parts
            self.bar.write(
                "{}, seed {}, fold {fold}: WA {WA:.3f}, UA {UA:.3f}, "
                "{epochs} epochs, {seconds:.0f} s".format(
                    system, seed, **result
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
