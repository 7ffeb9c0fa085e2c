"""Ensembles: averaged predictions of several runs, such as several seeds."""

from pathlib import Path
from typing import Iterable

import pandas as pd

from speechbrain.utils.logger import get_logger
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.conformal import Scores
from speechbrain_can.metrics.dimensions import evaluate_dimensions
from speechbrain_can.metrics.metrics import evaluate, recalls
from speechbrain_can.model_folder.ensemble import write_ensemble
from speechbrain_can.runs.layout import FoldLayout, RunLayout
from speechbrain_can.runs.predictions import (
    as_tensors,
    conformal_scores,
    dimension_names,
    read_dimensions,
    read_predictions,
    write_dimensions,
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
from speechbrain_can.settings.hparams import SETTINGS
from speechbrain_can.training.conformal import calibrate_models

logger = get_logger(__name__)


def combine(
    runs: list[Path], output_folder: Path, name: str, models: bool = True
) -> dict:
    """Average the probabilities of runs, fold by fold, and write them as a run.

    Folds that some run lacks are left out, with a warning. With ``models``, each fold
    gets a model folder with the networks of all runs, if they have one. Returns the
    content of ``results.json``. Raises ``InputError`` if no fold is in common,
    manifests differ, or there are fewer than two runs.
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
    results = _common_folds(runs, [finished_folds(each) for each in layouts])
    output = RunLayout(output_folder)
    for number, own in results.items():
        folds = [layout.fold(number) for layout in layouts]
        temperature, conformal = _combine_fold(folds, own, output.fold(number))
        if models and all((fold.model / SETTINGS).exists() for fold in folds):
            write_ensemble(
                [fold.model for fold in folds],
                output.fold(number).model,
                temperature,
                f"{name}, {description['corpus']}, fold {number}",
                conformal,
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
    calibrate_models(output)
    return summary


def _common_folds(
    runs: list[Path], folds: list[list[dict]]
) -> dict[int, list[dict]]:
    """Return the results of the folds that all runs have, by number."""
    by_number = [{fold["fold"]: fold for fold in own} for own in folds]
    common = set.intersection(*(set(own) for own in by_number))
    if not common:
        every = (f"{r}: {_listed(own)}" for r, own in zip(runs, by_number))
        raise InputError(
            f"the runs have no finished fold in common ({'; '.join(every)})"
        )
    for run, own in zip(runs, by_number):
        if set(own) - common:
            logger.warning(
                "Folds %s of %s are left out, because other runs lack them",
                _listed(set(own) - common),
                run,
            )
        changed = [
            number
            for number in common
            if own[number]["manifest"] != by_number[0][number]["manifest"]
        ]
        if changed:
            raise InputError(
                f"{run} and {runs[0]} cannot be averaged: their folds "
                f"{_listed(changed)} use different preparations"
            )
    return {
        number: [own[number] for own in by_number] for number in sorted(common)
    }


def _listed(folds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(folds))) or "none"


def _combine_fold(
    folds: list[FoldLayout], results: list[dict], output: FoldLayout
) -> tuple[float, Scores]:
    """Write the averaged predictions of a fold and their result.

    Returns the temperature and the nonconformity scores of the mean.
    """
    output.folder.mkdir(parents=True, exist_ok=True)
    valid = _mean([read_predictions(fold.valid_predictions) for fold in folds])
    test = _mean([read_predictions(fold.predictions) for fold in folds])
    tables = [(output.valid_predictions, valid), (output.predictions, test)]
    scores_adapted = {}
    if all("adapted" in result for result in results):
        adapted = _mean(
            [read_predictions(fold.adapted_predictions) for fold in folds]
        )
        tables.append((output.adapted_predictions, adapted))
        decided = list(adapted["true"]), list(adapted["predicted"])
        scores_adapted = {"adapted": evaluate(*decided)}
    for path, table in tables:
        classes = list(table.columns[3:])
        write_predictions(
            path,
            table["ID"],
            table["true"],
            table["predicted"],
            table[classes].to_numpy(),
            classes,
        )
    scores_adapted |= _combine_dimensions(folds, results, output)
    temperature = fit_temperature(*as_tensors(valid))
    true, predicted = list(test["true"]), list(test["predicted"])
    result = {
        "fold": results[0]["fold"],
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        **scores_adapted,
        **calibration(*as_tensors(test), temperature),
        "n_test": len(true),
        "n_train": results[0]["n_train"],
        "manifest": results[0]["manifest"],
        "epochs": sum(result["epochs"] for result in results),
        "valid": evaluate(list(valid["true"]), list(valid["predicted"])),
    }
    write_result(output, result)
    return temperature, conformal_scores(valid, temperature)


def _combine_dimensions(
    folds: list[FoldLayout], results: list[dict], output: FoldLayout
) -> dict:
    """Write averaged dimensions, if all runs have them; return their metrics."""
    if not all("dimensions" in result for result in results):
        return {}
    tables = [read_dimensions(fold.dimensions) for fold in folds]
    names = dimension_names(tables[0])
    columns = [f"predicted {name}" for name in names]
    values = sum(each[columns].to_numpy() for each in tables) / len(tables)
    labels = tables[0][names].to_numpy()
    write_dimensions(output.dimensions, tables[0]["ID"], values, labels, names)
    return {"dimensions": evaluate_dimensions(values, labels, names)}


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
