"""Ensembles: averaged predictions of several runs, such as several seeds."""

from pathlib import Path
from typing import Iterable

import pandas as pd

from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.metrics import evaluate, recalls
from speechbrain_can.runs.layout import FoldLayout, RunLayout
from speechbrain_can.runs.predictions import (
    as_tensors,
    read_predictions,
    write_predictions,
)
from speechbrain_can.runs.results import (
    check_tables,
    finished_folds,
    read_summary,
    write_result,
    write_summary,
)
from speechbrain_can.runs.summary import summarize


def combine(runs: list[Path], output_folder: Path, name: str) -> dict:
    """Average the probabilities of runs, fold by fold, and write them as a run.

    Returns the content of ``results.json``. Raises ``InputError`` if folds or
    manifests differ, or if there are fewer than two runs.
    """
    output_folder = Path(output_folder)
    if len({Path(run).resolve() for run in runs}) < max(2, len(runs)):
        raise InputError("pass at least two different runs")
    if output_folder.exists() and any(output_folder.iterdir()):
        raise InputError(
            f"{output_folder} is not empty. Pass another --output."
        )
    layouts = [RunLayout(run) for run in runs]
    for layout in layouts:
        if not layout.results.exists():
            raise InputError(
                f"{layout.folder} is not a finished run: it has no "
                f"{layout.results.name}"
            )
        check_tables(layout)
    description = read_summary(layouts[0])
    folds = [finished_folds(layout) for layout in layouts]
    for run, found in zip(runs, folds):
        difference = _difference(found, folds[0])
        if difference:
            raise InputError(
                f"{run} and {runs[0]} cannot be averaged: {difference}"
            )
    output = RunLayout(output_folder)
    for results in zip(*folds):
        number = results[0]["fold"]
        _combine_fold(
            [layout.fold(number) for layout in layouts],
            results,
            output.fold(number),
        )
    summary = summarize(
        output,
        {
            "model": name,
            "runs": [str(run) for run in runs],
            **{
                key: description[key]
                for key in ("corpus", "protocol", "classes")
            },
        },
    )
    write_summary(output, summary)
    return summary


def _difference(ours: list[dict], theirs: list[dict]) -> str | None:
    """Return how the finished folds of two runs differ, or None."""
    own, other = (
        {fold["fold"]: fold["manifest"] for fold in folds}
        for folds in (ours, theirs)
    )
    if not own or own.keys() != other.keys():
        return f"their finished folds are {_listed(own)} and {_listed(other)}"
    changed = [fold for fold in own if own[fold] != other[fold]]
    if changed:
        return f"their folds {_listed(changed)} use different preparations"
    return None


def _listed(folds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(folds))) or "none"


def _combine_fold(
    folds: list[FoldLayout], results: list[dict], output: FoldLayout
) -> None:
    """Write the averaged predictions of a fold and their result."""
    output.folder.mkdir(parents=True, exist_ok=True)
    valid = _mean([read_predictions(fold.valid_predictions) for fold in folds])
    test = _mean([read_predictions(fold.predictions) for fold in folds])
    for path, table in (
        (output.valid_predictions, valid),
        (output.predictions, test),
    ):
        classes = list(table.columns[3:])
        write_predictions(
            path,
            table["ID"],
            table["true"],
            table["predicted"],
            table[classes].to_numpy(),
            classes,
        )
    temperature = fit_temperature(*as_tensors(valid))
    true, predicted = list(test["true"]), list(test["predicted"])
    result = {
        "fold": results[0]["fold"],
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        **calibration(*as_tensors(test), temperature),
        "n_test": len(true),
        "n_train": results[0]["n_train"],
        "manifest": results[0]["manifest"],
        "epochs": sum(result["epochs"] for result in results),
        "valid": evaluate(list(valid["true"]), list(valid["predicted"])),
    }
    write_result(output, result)


def _mean(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return predictions with averaged probabilities."""
    mean = tables[0].copy()
    classes = list(mean.columns[3:])
    for table in tables:
        if set(table.columns) != set(mean.columns):
            raise InputError(
                f"the runs have different classes: {', '.join(classes)} and "
                f"{', '.join(table.columns[3:])}"
            )
        if list(table["ID"]) != list(mean["ID"]):
            other = set(table["ID"]) ^ set(mean["ID"])
            raise InputError(
                "the runs predicted different utterances, such as "
                f"{min(other, default='another order')}"
            )
    mean[classes] = sum(table[classes] for table in tables) / len(tables)
    mean["predicted"] = mean[classes].idxmax(axis=1)
    return mean
