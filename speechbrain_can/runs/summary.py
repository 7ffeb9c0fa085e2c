"""Summaries of runs: means over folds, and folds in common."""

from itertools import product

import pandas as pd

from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.dimensions import CCC
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import read_predictions
from speechbrain_can.runs.results import finished_folds, read_provenance


def summarize(run: RunLayout, description: dict) -> dict:
    """Summarize the finished folds with mean and standard deviation per metric.

    ``description`` contains ``model``, ``corpus``, ``protocol`` and ``classes``. The
    standard deviation of a single fold is None.
    """
    folds = finished_folds(run)
    summary = {**description, "folds": folds}
    for metric in METRICS:
        summary[metric] = _mean_and_std([fold[metric] for fold in folds])
    # validation scores, for model selection
    if all(fold.get("valid") for fold in folds):
        summary["valid"] = {
            metric: sum(fold["valid"][metric] for fold in folds) / len(folds)
            for metric in METRICS
        }
    if all(fold.get("adapted") for fold in folds):
        summary["adapted"] = {
            metric: sum(fold["adapted"][metric] for fold in folds) / len(folds)
            for metric in METRICS
        }
    for name in ("ECE", "ECE calibrated"):
        values = [fold[name] for fold in folds if name in fold]
        if values:
            summary[name] = sum(values) / len(values)
    rated = [fold["dimensions"] for fold in folds if "dimensions" in fold]
    if rated:
        summary["dimensions"] = _mean_dimensions(rated)
    corpora = pd.DataFrame(
        [
            {"corpus": name, **scores}
            for fold in folds
            for name, scores in fold.get("corpora", {}).items()
        ]
    )
    if len(corpora):
        summary["corpora"] = [
            {
                "corpus": name,
                "folds": len(own),
                "n_test": int(own["n_test"].sum()),
                **{metric: float(own[metric].mean()) for metric in METRICS},
            }
            for name, own in corpora.groupby("corpus")
        ]
    return summary


def _mean_dimensions(folds: list[dict]) -> dict:
    """Return mean and standard deviation of CCC and MSE over folds, by dimension."""
    names = [name for name in folds[0] if name != CCC]
    found = {
        name: {
            metric: _mean_and_std([fold[name][metric] for fold in folds])
            for metric in (CCC, "MSE")
        }
        for name in names
    }
    return {CCC: _mean_and_std([fold[CCC] for fold in folds]), **found}


def _mean_and_std(values: list[float]) -> dict:
    """Return ``mean`` and ``std`` of the known values; None if there are too few."""
    series = pd.Series(values, dtype=float).dropna()
    return {
        "mean": float(series.mean()) if len(series) else None,
        "std": float(series.std()) if len(series) > 1 else None,
    }


def format_dimensions(dimensions: dict) -> list[str]:
    """Return the lines of a summary about dimensions."""

    def cell(value):
        if value["mean"] is None:
            return "unknown"
        spread = "" if value["std"] is None else f" +- {value['std']:.3f}"
        return f"{value['mean']:.3f}{spread}"

    lines = [f"CCC {cell(dimensions[CCC])}"]
    lines += [
        f"  {name}: CCC {cell(own[CCC])}, MSE {cell(own['MSE'])}"
        for name, own in dimensions.items()
        if name != CCC
    ]
    return lines


def format_table(summary: dict, run: RunLayout) -> str:
    """Format a summary as text: one row per fold, then mean and standard deviation.

    The provenance of the run contains the training times.
    """
    table = pd.DataFrame(summary["folds"])
    table["seconds"] = [
        read_provenance(run.fold(fold)).get("seconds") for fold in table["fold"]
    ]
    columns = ["fold", *METRICS, "n_test", "epochs"]
    if table["seconds"].notna().all():
        columns.append("seconds")
    formats = dict.fromkeys(METRICS, "{:.3f}".format)
    formats["seconds"] = "{:.0f}".format
    title = "{model} on {corpus}, {protocol}, {n} classes".format(
        n=len(summary["classes"]), **summary
    )
    lines = [
        title,
        table[columns].to_string(index=False, formatters=formats),
    ]
    for metric in METRICS:
        mean, std = summary[metric]["mean"], summary[metric]["std"]
        spread = "" if std is None else f" +- {std:.3f}"
        lines.append(f"{metric} {mean:.3f}{spread}")
    if "valid" in summary:
        scores = (f"{m} {summary['valid'][m]:.3f}" for m in METRICS)
        lines.append(f"validation sets: {', '.join(scores)}")
    if "adapted" in summary:
        scores = (f"{m} {summary['adapted'][m]:.3f}" for m in METRICS)
        lines.append(
            f"adapted to all test recordings of each speaker: {', '.join(scores)}"
        )
    if "dimensions" in summary:
        lines += format_dimensions(summary["dimensions"])
    if "corpora" in summary:
        lines.append("Means over the folds that test a corpus:")
        lines.append(
            pd.DataFrame(summary["corpora"]).to_string(
                index=False, formatters=dict.fromkeys(METRICS, "{:.3f}".format)
            )
        )
    if "ECE" in summary:
        lines.append(
            f"expected calibration error {summary['ECE']:.3f}, after temperature "
            f"scaling on the validation set {summary['ECE calibrated']:.3f}"
        )
    return "\n".join(lines)


def collect(runs: list[tuple[str, int, RunLayout]]) -> pd.DataFrame:
    """Return the results of all finished folds of runs, one row per fold."""
    columns = ["fold", *METRICS, "n_test", "n_train", "manifest", "temperature"]
    rows = [
        {
            "system": system,
            "seed": seed,
            **{column: result.get(column) for column in columns},
            "path": run.fold(result["fold"]).predictions,
        }
        for system, seed, run in runs
        for result in finished_folds(run)
    ]
    return pd.DataFrame(rows, columns=["system", "seed", *columns, "path"])


def unequal_folds(results: pd.DataFrame) -> dict[str, str]:
    """Return a message for each system that lacks some seed or fold."""
    have = {
        system: set(zip(own["seed"], own["fold"]))
        for system, own in results.groupby("system", sort=False)
    }
    every = set(product(results["seed"].unique(), results["fold"].unique()))
    found = {}
    for system, own in have.items():
        missing = sorted(every - own)
        if missing:
            seed, fold = missing[0]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            found[system] = (
                f"{system} has no result for seed {seed}, fold {fold}{more}"
            )
    return found


def common_folds(results: pd.DataFrame) -> pd.DataFrame:
    """Return the results of the folds that all systems have for all seeds."""
    wanted = results["system"].nunique() * results["seed"].nunique()
    return results[results.groupby("fold")["seed"].transform("size") == wanted]


def check_comparable(results: pd.DataFrame) -> None:
    """Raise an ``InputError`` for results with different manifests or folds."""
    prepared = results.groupby("manifest", sort=False)
    if prepared.ngroups > 1:
        first, second, *_ = [
            "{system}, seed {seed}, fold {fold}".format(**own.iloc[0])
            for _, own in prepared
        ]
        raise InputError(
            f"the runs cannot be compared: {first} and {second} use different "
            "preparations or protocols of the corpus"
        )
    missing = unequal_folds(results)
    if missing:
        raise InputError(
            "the runs cannot be compared: their folds differ.\n"
            + "\n".join(missing.values())
            + "\nFinish these runs or exclude them."
        )


def load_predictions(results: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of all systems, with system, seed and fold."""
    tables = []
    for row in results.itertuples():
        table = read_predictions(row.path)
        table.insert(0, "fold", row.fold)
        table.insert(0, "seed", row.seed)
        table.insert(0, "system", row.system)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
