"""Compares systems: the paper's Tables 2 to 4 from one command.

    cd recipes/<Dataset>/multimodal_emotion_recognition
    python -m speechbrain_can.compare hparams/*.yaml --data_folder=...

Every system is trained by its recipe's ``train.py``, with the same folds and
seeds, from one prepared corpus; what is finished is not done again. What the
systems reached, and by how much that differs from CAN, is then read from the
results of their folds.

Authors
 * The speechbrain-can developers 2026
"""

import argparse
import os
import signal
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
from speechbrain_can.experiment import (
    ALL_FOLDS,
    SETTINGS,
    SettingsError,
    check_settings,
    read_hparams,
    requested_fold,
)
from speechbrain_can.manifest import read_json
from speechbrain_can.protocols import count_folds, read_folds
from speechbrain_can.report import write_report
from speechbrain_can.results import fold_result

# What this command sets for each run, and what all runs must agree on.
OWN_OVERRIDES = ("--seed", "--output_folder", "--prepared_folder")
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


def parse_arguments(arguments):
    """Reads the command line.

    Arguments
    ---------
    arguments : list of str
        Without the program's name.

    Returns
    -------
    options : argparse.Namespace
        ``hparams_files``, ``output_folder``, ``seeds`` and ``workers``.
    arguments : list of str
        What is left, for ``train.py``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_can.compare",
        usage="%(prog)s HPARAMS [HPARAMS ...] [--output_folder=FOLDER] "
        "[--seeds=S,S] [--workers=N] [--KEY=VALUE ...]",
        description="Trains systems on the same folds with the same seeds and "
        "writes the paper's Tables 2 to 4: ours, and the paired difference to "
        "can.yaml. Started again, it goes on where it was. Every other "
        "--KEY=VALUE is an override or run option for each train.py, e.g. "
        "--data_folder=FOLDER --protocol=session5 --fold=0.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "hparams_files",
        metavar="HPARAMS",
        nargs="+",
        type=Path,
        help="hparams files of a recipe, e.g. hparams/*.yaml",
    )
    parser.add_argument(
        "--output_folder",
        type=Path,
        default=Path("results/comparison"),
        help="tables, runs and the prepared corpus (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=[1234],
        help="separated by commas; a fold's value is the mean over them "
        "(default: 1234)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(1, 1 + os.cpu_count()),
        metavar="N",
        default=1,
        help="systems trained side by side; on a CPU one a core is fastest "
        "(default: %(default)s)",
    )
    options, others = parser.parse_known_args(arguments)
    for path in options.hparams_files:
        if path.suffix != ".yaml" or not path.is_file():
            parser.error(
                f"{path} is not an hparams file; overrides are written "
                "--KEY=VALUE"
            )
    for argument in others:
        option = argument.partition("=")[0]
        if option in OWN_OVERRIDES:
            parser.error(
                f"{option} is set for each run; see --seeds and --output_folder"
            )
    return options, others


def _seeds(text):
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not whole numbers separated by commas"
        )


def main(arguments=None):
    """Command line of the comparison."""
    options, others = parse_arguments(
        sys.argv[1:] if arguments is None else arguments
    )
    # Ended politely, it ends its runs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = plan_runs(
        options.hparams_files, options.seeds, options.output_folder, others
    )
    check_runs(runs, options.output_folder)
    try:
        failed = train_all(runs, options.workers)
    finally:
        # what is there, also where it was ended early
        _print_report(runs, options.output_folder)
    return 1 if failed else 0


def _print_report(runs, output_folder):
    settings = runs[0].settings()
    description = Path(settings["prepared_folder"]) / "corpus.json"
    if not description.exists():
        return
    corpus = read_json(description)
    report = write_report(
        output_folder,
        corpus["corpus"],
        f"{settings['protocol']}, {len(corpus['classes'])} classes",
    )
    if report is not None:
        print(report)
        print(f"The tables: {output_folder / 'comparison'}.csv, .md and .tex")


if __name__ == "__main__":
    sys.exit(main())
