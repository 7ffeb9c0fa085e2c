"""Parallel training with Ray (extra ``ray``), on one machine or a cluster.

A trial trains one fold of one system with one seed, in its own process. All trials use
the same prepared corpus and feature cache. On a cluster, these need to be in a folder
that all machines can access.
"""

import logging
import os
import runpy
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Iterable, Iterator, NamedTuple, Optional

import torch

from speechbrain_can.experiments.compare import (
    Progress,
    Run,
    find_train,
    requested_folds,
)
from speechbrain_can.settings.hparams import NO_FOLD, SettingsError

# Number of restarts after a worker dies; the trial resumes from its checkpoint
RETRIES = 3


def import_ray() -> ModuleType:
    """Import Ray without usage reports."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "Ray is not installed. Run pip install 'speechbrain_can[ray]'."
        ) from error
    return ray


class RayOptions(NamedTuple):
    """Processes and resources that run trials.

    Arguments
    ---------
    workers : int
        Concurrent trials on this machine; a cluster uses all of its cores.
    address : str or None
        Address of a Ray cluster, such as ``auto``; None starts Ray on this machine.
    gpus : float
        GPUs per trial; with 0.5, two trials share one.
    """

    workers: int
    address: Optional[str] = None
    gpus: float = 0

    @property
    def threads(self) -> int:
        """Threads per trial: a share of this machine, or 1 on a cluster."""
        if self.address:
            return 1
        return max(1, torch.get_num_threads() // self.workers)


@contextmanager
def connected(options: RayOptions) -> Iterator[ModuleType]:
    """Start Ray on this machine, or connect to a cluster."""
    ray = import_ray()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if options.address is None:
        ray.init(num_cpus=options.workers, include_dashboard=False, **quiet)
    else:
        ray.init(address=options.address, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def train_all_on_ray(runs: list[Run], options: RayOptions) -> list[Run]:
    """Train the folds of runs as Ray trials; return the runs with a failed fold.

    The output of a trial goes to ``output_fold_<number>.txt`` in the folder of its
    run. Failed trials do not stop the others.
    """
    threads = options.threads
    with connected(options) as ray:
        trial = ray.remote(
            num_cpus=1,
            num_gpus=options.gpus,
            max_calls=1,
            max_retries=RETRIES,
            name="train_fold",
        )(train_fold_of)

        def start(run, fold):
            return trial.remote(run, fold, os.getcwd(), threads)

        prepare_on(ray, runs[0], threads)
        progress = Progress(runs)
        waiting = {
            start(run, fold): (run, fold)
            for run in runs
            for fold in requested_folds(run)
            if not run.layout.fold(fold).finished
        }
        failed = []
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=1)
            for reference in done:
                run, fold = waiting.pop(reference)
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:
                    failed.append(run)
                    progress.bar.write(
                        f"{run.system}, seed {run.seed}, fold {fold} failed: "
                        f"{_cause(error)}\nSee {run.layout.fold_output(fold)}."
                    )
            progress.show([])
        progress.bar.close()
    return list(dict.fromkeys(failed))


def prepare_on(ray: ModuleType, run: Run, threads: int) -> None:
    """Prepare the corpus of a run, which determines the number of folds."""
    prepare = ray.remote(num_cpus=1, max_calls=1)(train_fold_of)
    try:
        ray.get(prepare.remote(run, NO_FOLD, os.getcwd(), threads))
    except ray.exceptions.RayError as error:
        raise SettingsError(
            f"preparation of the corpus failed: {_cause(error)}\n"
            f"See {run.layout.fold_output(NO_FOLD)}."
        ) from error


def _cause(error: Exception) -> str:
    """Return the error message of a trial, or that of Ray."""
    return str(getattr(error, "cause", None) or error).strip()


def train_fold_of(run: Run, fold: int | str, folder: str, threads: int) -> None:
    """Run one trial in its own process."""
    os.chdir(folder)
    torch.set_num_threads(threads)
    run.folder.mkdir(parents=True, exist_ok=True)
    with printing_to(run.layout.fold_output(fold)):
        run_in_process(run.hparams_file, of_fold(run.arguments, fold))


def of_fold(arguments: Iterable[str], fold: int | str) -> list[str]:
    """Return command line arguments with another fold."""
    kept = [a for a in arguments if a.partition("=")[0] != "--fold"]
    return [*kept, f"--fold={fold}"]


def run_in_process(hparams_file: Path, arguments: Iterable[str]) -> None:
    """Run ``train.py`` in this process."""
    train = find_train(hparams_file)
    sys.argv = [str(train), str(hparams_file), *arguments]
    sys.path.insert(0, str(train.parent))
    runpy.run_path(str(train), run_name="__main__")


@contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Redirect the output of this process to a file, including tracebacks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", buffering=1) as stream:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        stream.write(f"{now} process {os.getpid()}\n")
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        try:
            yield
        except BaseException as error:
            traceback.print_exc(file=stream)
            # Attributes of an error may not be picklable. The message of a
            # SystemExit already contains the name of the error.
            exited = isinstance(error, SystemExit)
            name = "" if exited else f"{type(error).__name__}: "
            raise RuntimeError(f"{name}{error}") from None
