"""Entry point of the recipes' ``train.py``: prepare the corpus, train its folds.

Each fold is built from its settings independently, so its result does not depend on
other folds.
"""

import logging
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import pandas as pd
import torch
from filelock import FileLock, Timeout
from hyperpyyaml import load_hyperpyyaml

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.fold_lists import PARTS, check_classes, count_folds
from speechbrain_can.corpus.leakage import check_leaks, find_leaks, format_leaks
from speechbrain_can.corpus.prepared import Corpus, leaks_path
from speechbrain_can.io.console import (
    check_given_once,
    interruptible,
    set_up_console,
    show,
)
from speechbrain_can.io.files import (
    LINES,
    InputError,
    advice,
    printable,
    read_json,
    write_json,
)
from speechbrain_can.runs.layout import FoldLayout, RunLayout
from speechbrain_can.runs.results import (
    check_same_manifest,
    check_settings_of_run,
    check_tables,
    finished_folds,
    write_summary,
)
from speechbrain_can.runs.summary import format_table, summarize
from speechbrain_can.settings.hparams import (
    NO_FOLD,
    Settings,
    SettingsError,
    read_settings,
    write_settings,
)
from speechbrain_can.settings.run_options import (
    check_run_options,
    reduce_console_output,
)
from speechbrain_can.settings.validation import check_settings
from speechbrain_can.training.conformal import calibrate_models
from speechbrain_can.training.fold import Fold, set_up
from speechbrain_can.training.record import record_fold

RESUME = "Finished work is kept. Run the same command again to resume."

logger = sb.utils.logger.get_logger(__name__)


def run_recipe(arguments: Sequence[str]) -> None:
    """Run an hparams file; input errors end it with a message instead of a traceback.

    Operating system errors, such as a full disk, are reported in the same way.
    With SpeechBrain's ``--debug``, the traceback is printed as well.

    Arguments
    ---------
    arguments : list of str
        See ``train_recipe``.
    """
    debug = "--debug" in arguments
    set_up_console()
    # On a full disk, logging would print a traceback for every line.
    logging.raiseExceptions = debug
    try:
        with interruptible(RESUME):
            train_recipe(arguments)
        # Threads of a process group that still run could abort the exit.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    except (InputError, ImportError, OSError) as error:
        if debug:
            raise
        text = f"{type(error).__name__}: {error}{advice(error)}"
        sys.exit(printable(text, LINES))


def train_recipe(arguments: Sequence[str]) -> None:
    """Prepare the corpus of an hparams file and train its folds.

    ``preparation`` names the function that prepares the corpus and all of its
    arguments except ``save_folder``. ``--fold=none`` only prepares the corpus.

    Arguments
    ---------
    arguments : list of str
        Command line: the hparams file, overrides and SpeechBrain's run options.
    """
    # Reading command line arguments.
    check_given_once(arguments)
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)

    # Load the hyperparameters file with command-line overrides. Its objects
    # are built for each fold.
    settings = read_settings(hparams_file, overrides)
    hparams = settings.plain()
    check_run_options(run_opts, hparams)
    check_settings(settings)

    # Initialize ddp (useful only for multi-GPU DDP training).
    sb.utils.distributed.ddp_init_group(run_opts)

    # An output folder belongs to one experiment, specified by the
    # hyperparams.yaml in it.
    check_settings_of_run(RunLayout(Path(hparams["output_folder"])), settings)
    run_on_main(write_settings, args=[hparams["output_folder"], settings])

    # Create experiment directory
    sb.create_experiment_directory(hparams["output_folder"])
    run_opts = reduce_console_output(run_opts)

    # Data preparation, to be run on only one process.
    prepare = load_hyperpyyaml(settings.part(["preparation"]))["preparation"]
    run_on_main(prepare, kwargs={"save_folder": hparams["prepared_folder"]})

    # Train and test the folds that are not finished, print their table.
    if settings.fold != NO_FOLD:
        run_folds(settings, run_opts)


def run_folds(settings: Settings, run_opts: RunOptions) -> dict | None:
    """Train and test the selected folds that are not finished.

    ``prepared_folder`` of the settings must contain a prepared corpus. Returns the
    content of ``results.json``, or None if no fold is finished, as in a debugging
    run. Raises ``SettingsError`` if the number of classes differs from the corpus or
    another process trains the fold, ``InputError`` if a finished fold used a
    different manifest or the training set of a fold lacks a class, and
    ``LeakageError`` if ``strict`` refuses leakage.
    """
    hparams = settings.plain()
    corpus = Corpus.of(hparams)
    run = RunLayout(Path(hparams["output_folder"]))
    if hparams["classes"] != len(corpus.classes):
        raise SettingsError(
            f"classes is {hparams['classes']}, but {corpus.name} has "
            f"{len(corpus.classes)}: {', '.join(corpus.classes)}. Pass "
            f"--classes={len(corpus.classes)}."
        )
    check_same_manifest(finished_folds(run), corpus.fingerprint)
    check_tables(run)
    strict = hparams.get("strict", False)
    run_on_main(
        _check_leakage, args=[hparams["prepared_folder"], corpus, strict]
    )
    n_folds = count_folds(corpus.folds)
    asked = settings.asked_folds(n_folds)
    if not asked:
        raise SettingsError(
            "no fold can be reported: chosen_on_folds lists all folds. Search on "
            "fewer folds."
        )
    for fold in asked:
        check_classes(corpus.folds, corpus.utterances, fold)
    for fold in asked:
        if not run.fold(fold).finished:
            logger.info(f"Fold {fold} (folds are 0 to {n_folds - 1})")
            with _locked(run.fold(fold)):
                train_fold(Fold.of(settings, corpus, fold), run_opts)
    last = run.fold(asked[-1])
    if not (if_main_process() and last.finished):
        return None
    description = {
        "model": settings.name,
        "corpus": corpus.name,
        "protocol": hparams["preparation"]["protocol"],
        "classes": corpus.classes,
    }
    # Folds may finish concurrently; the last one must include all of them.
    with FileLock(run.results_lock):
        summary = summarize(run, description)
        write_summary(run, summary)
        calibrate_models(run)
    show(format_table(summary, run))
    if last.attention_figure.exists():
        figure = last.attention_figure.absolute()
        show(f"Attention of one test utterance: {figure}")
    return summary


def train_fold(fold: Fold, run_opts: RunOptions) -> None:
    """Train a fold, test its best checkpoint and write the results."""
    logger.info(", ".join(f"{len(fold.parts[part])} {part}" for part in PARTS))
    brain, datasets, loading = set_up(fold, run_opts)
    if if_main_process():
        write_settings(fold.layout.folder, fold.settings)
    # Checkpoints contain the complete state: an interrupted run resumes from
    # the last one.
    brain.fit(
        epoch_counter=fold.hparams["epoch_counter"],
        train_set=datasets["train"],
        valid_set=datasets["valid"],
        train_loader_kwargs=loading["train"],
        valid_loader_kwargs=loading["test"],
    )
    brain.evaluate(
        test_set=datasets["test"], test_loader_kwargs=loading["test"]
    )
    if brain.debug:
        logger.info("Debugging: the fold's result is not recorded")
        return
    valid = brain.predict(datasets["valid"], loading["test"])
    adapted = None
    if brain.speakers:
        adapted = brain.predict(datasets["test"], loading["test"], adapted=True)
    run_on_main(record_fold, args=[brain, fold, valid, adapted])


def _check_leakage(
    folder: str | Path, corpus: Corpus, strict: bool | list[str]
) -> None:
    """Log the leakage of a protocol, computed once per prepared corpus."""
    path = leaks_path(folder, corpus.protocol)
    with FileLock(f"{path}.lock"):
        known = read_json(path) if path.exists() else {}
        if known.get("manifest") != corpus.fingerprint:
            leaks = find_leaks(
                corpus.utterances, corpus.folds, corpus.data_folder
            )
            known = {
                "manifest": corpus.fingerprint,
                "leaks": leaks.to_dict("records"),
            }
            write_json(path, known)
    leaks = pd.DataFrame(known["leaks"])
    logger.info(
        f"Data leakage of {corpus.protocol}, mean over folds (worst fold):\n"
        f"{format_leaks(leaks)}"
    )
    check_leaks(leaks, strict)


@contextmanager
def _locked(fold: FoldLayout) -> Iterator[None]:
    """Lock a fold, because concurrent runs would damage each other's checkpoints."""
    if not if_main_process():
        yield
        return
    fold.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(fold.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"another process is training in {fold.folder}. Wait for it or "
            "pass another --output_folder."
        )
    try:
        # Remove incomplete files of a killed run.
        for partial in fold.folder.glob("*.partial"):
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
        yield
    finally:
        lock.release()
