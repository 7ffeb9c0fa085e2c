"""Results of a run: predictions, metrics and summary tables."""

import json
import os
import re
import zlib
from itertools import product
from pathlib import Path
from typing import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from speechbrain_can.files import (
    InputError,
    atomic_write,
    parsing,
    read_json,
    write_json,
)
from speechbrain_can.results.metrics import METRICS, evaluate

RESULTS = "results.json"
FOLD_RESULT = "result.json"
SUM = "sum"  # key of the checksum of a result
PROVENANCE = "provenance.json"
PREDICTIONS = "predictions.csv"
VALID_PREDICTIONS = "valid_predictions.csv"
ATTENTION_TABLE = "attention.csv"
TABLES = (PREDICTIONS, VALID_PREDICTIONS, ATTENTION_TABLE)


def fold_result(output_folder: str | Path, fold: int) -> Path:
    """Return the path of a fold's result, which exists once the fold is finished."""
    return Path(output_folder) / f"fold_{fold}" / FOLD_RESULT


def write_result(path: Path, result: dict) -> None:
    """Write the result of a fold with checksums of it and of its tables."""
    tables = [path.with_name(name) for name in TABLES]
    sums = {file.name: _sum_of_file(file) for file in tables if file.exists()}
    _write_with_sum(path, {**result, "tables": sums})


def write_summary(output_folder: str | Path, summary: dict) -> None:
    """Write ``results.json``, the result of ``summarise``, with a checksum."""
    _write_with_sum(Path(output_folder) / RESULTS, summary)


def read_summary(output_folder: str | Path) -> dict:
    """Read ``results.json``.

    Raises ``InputError`` if it was modified.
    """
    path = Path(output_folder) / RESULTS
    summary = read_json(path)
    if not _has_its_sum(summary):
        raise InputError(
            f"{path} was modified. Delete it and run train.py again to write it."
        )
    return summary


def _write_with_sum(path, content):
    write_json(path, {**content, SUM: _sum_of(content)})


def _has_its_sum(content):
    return isinstance(content, dict) and (
        content.get(SUM, _sum_of(content)) == _sum_of(content)
    )


def _sum_of_file(path):
    return zlib.crc32(path.read_bytes())


def _sum_of(result):
    content = {key: value for key, value in result.items() if key != SUM}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def read_provenance(output_folder: str | Path, fold: int) -> dict:
    """Return ``seconds``, ``command`` and ``environment`` of a fold's training.

    They vary between identical runs and are therefore not part of the result.
    Empty if unknown.
    """
    path = fold_result(output_folder, fold).with_name(PROVENANCE)
    return read_json(path) if path.exists() else {}


def write_predictions(
    path: Path,
    ids: Sequence[str],
    true: Sequence[str],
    predicted: Sequence[str],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Write ``predictions.csv``: ID, true, predicted, one probability per class.

    ``probabilities`` has the shape ``[utterances, classes]``.
    """
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "ID", ids)
    table.insert(1, "true", true)
    table.insert(2, "predicted", predicted)
    with atomic_write(path) as stream:
        table.sort_values("ID").to_csv(stream, index=False, float_format="%.6f")


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions with one row per utterance."""
    return pd.read_csv(
        path,
        dtype={"ID": str, "true": str, "predicted": str},
        keep_default_na=False,  # a class may be named "none"
    )


def as_tensors(table: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities ``[utterances, classes]`` and targets of predictions."""
    classes = list(table.columns[3:])
    probabilities = torch.tensor(table[classes].to_numpy())
    targets = torch.tensor([classes.index(name) for name in table["true"]])
    # Written probabilities are rounded and may be 0.
    return probabilities.clamp(min=1e-7).log(), targets


def write_attention(
    path: Path,
    ids: Sequence[str],
    attention: Sequence[dict[str, Sequence[float]]],
) -> None:
    """Write ``attention.csv`` with the attention weights of each test utterance.

    There is one row per utterance and modality, with the weight of each word
    (mean over heads).
    """
    rows = [
        (
            utterance_id,
            modality,
            " ".join(f"{weight:.6f}" for weight in weights),
        )
        for utterance_id, by_modality in zip(ids, attention)
        for modality, weights in by_modality.items()
    ]
    table = pd.DataFrame(rows, columns=["ID", "modality", "attention"])
    with atomic_write(path) as stream:
        table.sort_values("ID", kind="stable").to_csv(stream, index=False)


def read_attention(path: Path, modality: str) -> dict[str, list[float]]:
    """Return the weights of the words by utterance ID, for one modality."""
    table = pd.read_csv(path, dtype=str)
    table = table[table["modality"] == modality]
    return {
        utterance_id: [float(weight) for weight in weights.split()]
        for utterance_id, weights in zip(table["ID"], table["attention"])
    }


def finished_folds(output_folder: str | Path) -> list[dict]:
    """Return the results of the finished folds in order.

    Raises ``InputError`` for modified, misplaced or incompatible results.
    """
    results = {
        path: read_json(path)
        for path in Path(output_folder).glob(f"fold_[0-9]*/{FOLD_RESULT}")
    }
    every = {*METRICS, "fold", "n_test", "n_train", "manifest"}
    for path, result in results.items():
        if not _has_its_sum(result):
            raise InputError(
                f"{path} was modified. Delete it to re-run the test of this fold."
            )
        if path != fold_result(output_folder, result.get("fold")):
            raise InputError(
                f"{path} belongs to a different fold. Delete it to re-run the test "
                "of this fold."
            )
    missing = {path: every - result.keys() for path, result in results.items()}
    lacking = [
        f"{path} lacks {', '.join(sorted(keys))}"
        for path, keys in sorted(missing.items())
        if keys
    ]
    if lacking:
        raise InputError(
            "\n".join(lacking) + "\nThese results are from another version. "
            "Delete them to re-run the tests of these folds."
        )
    return sorted(results.values(), key=lambda result: result["fold"])


def check_tables(output_folder: str | Path) -> None:
    """Raise an ``InputError`` if results do not match their tables."""
    for result in finished_folds(output_folder):
        path = fold_result(output_folder, result["fold"])
        # results written before valid_predictions.csv had a checksum
        sums = result.get("tables", {PREDICTIONS: result.get("predictions")})
        for name, known in sums.items():
            table = path.with_name(name)
            same = table.exists() and known in (None, _sum_of_file(table))
            if same and name == PREDICTIONS:
                same = _gives(table, result)
            if not same:
                raise InputError(
                    f"{path} does not match {table}. Delete {path} to re-run the "
                    "test of this fold."
                )


def _gives(predictions: Path, result: dict) -> bool:
    """Return whether the scores of a result match its predictions."""
    with parsing(predictions, "a table of predictions"):
        table = read_predictions(predictions)
        found = evaluate(table["true"].tolist(), table["predicted"].tolist())
    return len(table) == result["n_test"] and all(
        abs(result[name] - found[name]) <= 1e-9 for name in METRICS
    )


def check_same_manifest(results: list[dict], digest: str) -> None:
    """Raise an ``InputError`` if results used a different manifest or folds."""
    others = [r["fold"] for r in results if r["manifest"] != digest]
    if others:
        raise InputError(
            f"folds {', '.join(map(str, others))} were trained on a different "
            "preparation of the corpus. Pass another --output_folder or delete "
            "this one."
        )


def summarise(output_folder: str | Path, description: dict) -> dict:
    """Summarize the finished folds with mean and standard deviation per metric.

    ``description`` contains ``model``, ``corpus``, ``protocol`` and ``classes``. The
    standard deviation of a single fold is None.
    """
    folds = finished_folds(output_folder)
    summary = {**description, "folds": folds}
    for metric in METRICS:
        values = pd.Series([fold[metric] for fold in folds])
        std = float(values.std()) if len(values) > 1 else None
        summary[metric] = {"mean": float(values.mean()), "std": std}
    # validation scores, for model selection
    if all(fold.get("valid") for fold in folds):
        summary["valid"] = {
            metric: sum(fold["valid"][metric] for fold in folds) / len(folds)
            for metric in METRICS
        }
    for name in ("ECE", "ECE calibrated"):
        values = [fold[name] for fold in folds if name in fold]
        if values:
            summary[name] = sum(values) / len(values)
    return summary


def format_table(summary: dict, output_folder: str | Path) -> str:
    """Format a summary as text: one row per fold, then mean and standard deviation.

    The provenance in ``output_folder`` contains the training times.
    """
    table = pd.DataFrame(summary["folds"])
    table["seconds"] = [
        read_provenance(output_folder, fold).get("seconds")
        for fold in table["fold"]
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
    if "ECE" in summary:
        lines.append(
            f"expected calibration error {summary['ECE']:.3f}, after temperature "
            f"scaling on the validation set {summary['ECE calibrated']:.3f}"
        )
    return "\n".join(lines)


def find_runs(folders: Iterable[str | Path]) -> list[tuple[str, int, Path]]:
    """Return system, seed and folder of the runs in folders, sorted.

    A folder is a run, or contains the runs of one system, ``<seed>``, or of
    several, ``<system>/<seed>``, as ``compare`` writes them. If the folder of a run
    is not named after a seed, its name is the name of the system and the seed is
    read from its settings.

    Raises ``InputError`` for folders without a run, and for duplicates of a system
    and seed.
    """
    runs = {}
    for folder in folders:
        found = runs_of_comparison(folder) or _seeded(folder, "*[0-9]")
        if any(Path(folder).glob("fold_[0-9]*")):
            run = Path(os.path.abspath(folder))
            found = [
                (run.parent.name, int(run.name), run)
                if run.name.isdigit()
                else (run.name, _seed_of(run), run)
            ]
        if not found:
            raise InputError(
                f"{folder} contains no run: it has no folder fold_<number>"
            )
        for system, seed, run in found:
            if runs.setdefault((system, seed), run) != run:
                raise InputError(
                    f"{runs[system, seed]} and {run} are both {system}, seed "
                    f"{seed}. Pass one of them or rename a folder."
                )
    return [(*key, run) for key, run in sorted(runs.items())]


def _seed_of(run: Path) -> int:
    """Return the seed in the settings of a run, or 0."""
    path = run / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^seed: (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def runs_of_comparison(folder: str | Path) -> list[tuple[str, int, Path]]:
    """Return system, seed and folder of the runs in ``<system>/<seed>``."""
    return _seeded(folder, "*/*[0-9]")


def _seeded(folder, pattern):
    paths = sorted(Path(os.path.abspath(folder)).glob(pattern))
    return [
        (path.parent.name, int(path.name), path)
        for path in paths
        if path.name.isdigit() and any(path.glob("fold_[0-9]*"))
    ]


def collect(runs: list[tuple[str, int, Path]]) -> pd.DataFrame:
    """Return the results of all finished folds of runs, one row per fold."""
    columns = ["fold", *METRICS, "n_test", "n_train", "manifest"]
    rows = [
        {
            "system": system,
            "seed": seed,
            **{column: result.get(column) for column in columns},
            "path": fold_result(run, result["fold"]).with_name(PREDICTIONS),
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
    if results["manifest"].nunique() > 1:
        raise InputError(
            "the runs cannot be compared: they use different preparations or "
            "protocols of the corpus"
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
