"""Many trainings on Ray (extra ``ray``): a laptop's cores, or a cluster.

A trial is one fold of one system with one seed, in a process of its own. All of
them read the same prepared corpus and features, which a cluster needs on a folder
that every machine sees."""

import logging
import os
import runpy
import sys
import time
import traceback
from contextlib import contextmanager

import torch

from speechbrain_can.hparams import NO_FOLD, SettingsError
from speechbrain_can.results.folds import fold_result
from speechbrain_can.training.runs import Progress, find_train, requested_folds

# A worker that dies is replaced so many times; its trial goes on from its last
# checkpoint.
RETRIES = 3


def import_ray():
    """The library, without its reports of usage."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "Ray is not installed: pip install 'speechbrain_can[ray]'"
        ) from error
    return ray


@contextmanager
def connected(workers, address=None):
    """Ray on this machine with as many workers, or on the cluster at an address."""
    ray = import_ray()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    else:
        ray.init(address=address, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def train_all_on_ray(runs, workers, address=None, gpus=0):
    """Trains the folds of runs as trials, and shows how far they are.

    What a trial prints goes to ``output_fold_<number>.txt`` in its run's folder.
    One that fails does not stop the others.

    Arguments
    ---------
    runs : list of Run
        The runs.
    workers : int
        Trials at a time on this machine; a cluster has as many as it has cores.
    address : str or None
        Of a cluster, such as ``auto``; None starts Ray here.
    gpus : float
        Of a trial; 0.5 lets two share one.

    Returns
    -------
    list of Run
        Those of which a fold failed.
    """
    threads = threads_of(workers, address)
    with connected(workers, address) as ray:
        trial = ray.remote(
            num_cpus=1,
            num_gpus=gpus,
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
            if not fold_result(run.folder, fold).exists()
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
                        f"{run.system}, seed {run.seed}, fold {fold}, failed: "
                        f"{_cause(error)}\nSee {output_path(run, fold)}"
                    )
            progress.show([])
        progress.bar.close()
    return list(dict.fromkeys(failed))


def prepare_on(ray, run, threads):
    """Prepares the corpus of a run: how many folds there are is known after it."""
    prepare = ray.remote(num_cpus=1, max_calls=1)(train_fold_of)
    try:
        ray.get(prepare.remote(run, NO_FOLD, os.getcwd(), threads))
    except ray.exceptions.RayError as error:
        raise SettingsError(
            f"the corpus cannot be prepared: {_cause(error)}\n"
            f"See {output_path(run, NO_FOLD)}"
        ) from error


def _cause(error):
    """What a trial says of its end, or Ray of its worker's."""
    return str(getattr(error, "cause", None) or error).strip()


def threads_of(workers, address):
    """Threads of a trial: its share of this machine; one on a cluster."""
    return 1 if address else max(1, torch.get_num_threads() // workers)


def output_path(run, fold):
    """Where a trial's output goes."""
    return run.folder / f"output_fold_{fold}.txt"


def train_fold_of(run, fold, folder, threads):
    """One trial, in a process that does nothing else."""
    os.chdir(folder)
    torch.set_num_threads(threads)
    run.folder.mkdir(parents=True, exist_ok=True)
    with printing_to(output_path(run, fold)):
        run_in_process(run.hparams_file, of_fold(run.arguments, fold))


def of_fold(arguments, fold):
    """A command line for another fold."""
    kept = [a for a in arguments if a.partition("=")[0] != "--fold"]
    return [*kept, f"--fold={fold}"]


def run_in_process(hparams_file, arguments):
    """Runs ``train.py`` in this process, as its command does."""
    train = find_train(hparams_file)
    sys.argv = [str(train), str(hparams_file), *arguments]
    sys.path.insert(0, str(train.parent))
    runpy.run_path(str(train), run_name="__main__")


@contextmanager
def printing_to(path):
    """Sends all output of this process to a file, the traceback of an error too."""
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
            # what an error holds may not travel to another process
            ended = isinstance(
                error, SystemExit
            )  # which names the error itself
            name = "" if ended else f"{type(error).__name__}: "
            raise RuntimeError(f"{name}{error}") from None
