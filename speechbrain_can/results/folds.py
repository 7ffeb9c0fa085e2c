"""What a run found: predictions, metrics, and the table of its folds."""

import json
import os
import re
import zlib
from itertools import product
from pathlib import Path

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
SUM = "sum"  # in it: of the rest, which nobody is to change
PROVENANCE = "provenance.json"
PREDICTIONS = "predictions.csv"
VALID_PREDICTIONS = "valid_predictions.csv"
ATTENTION_TABLE = "attention.csv"
TABLES = (PREDICTIONS, VALID_PREDICTIONS, ATTENTION_TABLE)


def fold_result(output_folder, fold):
    """Where the result of a fold is, once it is finished."""
    return Path(output_folder) / f"fold_{fold}" / FOLD_RESULT


def write_result(path, result):
    """Writes the result of a fold, with sums of it and of the tables beside it."""
    tables = [path.with_name(name) for name in TABLES]
    sums = {file.name: _sum_of_file(file) for file in tables if file.exists()}
    _write_with_sum(path, {**result, "tables": sums})


def write_summary(output_folder, summary):
    """Writes ``results.json``, what ``summarise`` found, with a sum of it."""
    _write_with_sum(Path(output_folder) / RESULTS, summary)


def read_summary(output_folder):
    """Reads what ``write_summary`` wrote.

    Raises ``InputError`` if somebody changed it.
    """
    path = Path(output_folder) / RESULTS
    summary = read_json(path)
    if not _has_its_sum(summary):
        raise InputError(
            f"{path} is not as it was written; delete it, and train.py writes it "
            "again"
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


def read_provenance(output_folder, fold):
    """How a fold was trained: ``seconds``, ``command`` and ``environment``.

    They differ from one time to the next, which results do not. Empty where
    nobody knows.
    """
    path = fold_result(output_folder, fold).with_name(PROVENANCE)
    return read_json(path) if path.exists() else {}


def write_predictions(path, ids, true, predicted, probabilities, classes):
    """``predictions.csv``: ID, true, predicted, one probability a class.

    ``probabilities`` has shape ``[utterances, classes]``.
    """
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "ID", ids)
    table.insert(1, "true", true)
    table.insert(2, "predicted", predicted)
    with atomic_write(path) as stream:
        table.sort_values("ID").to_csv(stream, index=False, float_format="%.6f")


def read_predictions(path):
    """Reads what ``write_predictions`` wrote, a row an utterance."""
    return pd.read_csv(
        path,
        dtype={"ID": str, "true": str, "predicted": str},
        keep_default_na=False,  # a class may be called none
    )


def as_tensors(table):
    """Log-probabilities ``[utterances, classes]`` and targets of predictions."""
    classes = list(table.columns[3:])
    probabilities = torch.tensor(table[classes].to_numpy())
    targets = torch.tensor([classes.index(name) for name in table["true"]])
    # what is written is rounded
    return probabilities.clamp(min=1e-7).log(), targets


def write_attention(path, ids, attention):
    """``attention.csv``: where a model looked in each test utterance.

    A row an utterance and modality: the weights of its words, mean over heads.
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


def read_attention(path, modality):
    """Reads the weights of the words by utterance, of one modality."""
    table = pd.read_csv(path, dtype=str)
    table = table[table["modality"] == modality]
    return {
        utterance_id: [float(weight) for weight in weights.split()]
        for utterance_id, weights in zip(table["ID"], table["attention"])
    }


def finished_folds(output_folder):
    """Results of the folds that are finished, in order."""
    results = {
        path: read_json(path)
        for path in Path(output_folder).glob(f"fold_[0-9]*/{FOLD_RESULT}")
    }
    every = {*METRICS, "fold", "n_test", "n_train", "manifest"}
    for path, result in results.items():
        if not _has_its_sum(result):
            raise InputError(
                f"{path} is not as it was written; delete it, and train.py tests "
                "this fold again"
            )
        if path != fold_result(output_folder, result.get("fold")):
            raise InputError(
                f"{path} is of another fold; delete it, and train.py tests this "
                "fold again"
            )
    missing = {path: every - result.keys() for path, result in results.items()}
    lacking = [
        f"{path} has no {', '.join(sorted(keys))}"
        for path, keys in sorted(missing.items())
        if keys
    ]
    if lacking:
        raise InputError(
            "\n".join(lacking) + "\nThey are not of this version: delete "
            "them, and train.py tests these folds again"
        )
    return sorted(results.values(), key=lambda result: result["fold"])


def check_tables(output_folder):
    """Refuses results that the tables beside them do not give."""
    for result in finished_folds(output_folder):
        path = fold_result(output_folder, result["fold"])
        # what was written before valid_predictions.csv had a sum
        sums = result.get("tables", {PREDICTIONS: result.get("predictions")})
        for name, known in sums.items():
            table = path.with_name(name)
            same = table.exists() and known in (None, _sum_of_file(table))
            if same and name == PREDICTIONS:
                same = _gives(table, result)
            if not same:
                raise InputError(
                    f"{path} is not what {table} gives; delete {path}, and "
                    "train.py tests this fold again"
                )


def _gives(predictions, result):
    """Whether the scores of a result are those of its predictions."""
    with parsing(predictions, "a table of predictions"):
        table = read_predictions(predictions)
        found = evaluate(table["true"].tolist(), table["predicted"].tolist())
    return len(table) == result["n_test"] and all(
        abs(result[name] - found[name]) <= 1e-9 for name in METRICS
    )


def check_same_manifest(results, digest):
    """Refuses results of another manifest than the one with this digest."""
    others = [r["fold"] for r in results if r["manifest"] != digest]
    if others:
        raise InputError(
            f"fold(s) {', '.join(map(str, others))} are of another preparation "
            "of the corpus; give another --output_folder, or delete this one"
        )


def summarise(output_folder, description):
    """The folds that are finished, and each metric's mean and deviation.

    ``description`` has ``model``, ``corpus``, ``protocol`` and ``classes``; the
    deviation is None for a single fold.
    """
    folds = finished_folds(output_folder)
    summary = {**description, "folds": folds}
    for metric in METRICS:
        values = pd.Series([fold[metric] for fold in folds])
        std = float(values.std()) if len(values) > 1 else None
        summary[metric] = {"mean": float(values.mean()), "std": std}
    # what a choice may look at: the validation sets
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


def format_table(summary, output_folder):
    """A summary as text: a row a fold, then mean and standard deviation.

    Its ``output_folder`` says how long the folds took.
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
        lines.append(f"on the validation sets: {', '.join(scores)}")
    if "ECE" in summary:
        lines.append(
            f"expected calibration error {summary['ECE']:.3f}, with the "
            f"temperature of the validation set {summary['ECE calibrated']:.3f}"
        )
    return "\n".join(lines)


def find_runs(folders):
    """Runs in folders: system, seed and folder of each, sorted.

    A folder is a run, or has the runs of a system, ``<seed>``, or of several, as
    ``compare`` writes them, ``<system>/<seed>``.
    A run in a folder without a seed's number is called as the folder, and its
    seed is that of its settings.

    Raises ``InputError`` for a folder without a run, and for two runs of one
    system and seed.
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
            raise InputError(f"{folder} has no run: no fold_<number> in it")
        for system, seed, run in found:
            if runs.setdefault((system, seed), run) != run:
                raise InputError(
                    f"{runs[system, seed]} and {run} are both {system}, seed "
                    f"{seed}; give one of them, or rename a folder"
                )
    return [(*key, run) for key, run in sorted(runs.items())]


def _seed_of(run):
    """The seed of a run's settings, or 0 where it has none."""
    path = run / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^seed: (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def runs_of_comparison(folder):
    """Runs in ``<system>/<seed>`` of a folder: system, seed and folder of each."""
    return _seeded(folder, "*/*[0-9]")


def _seeded(folder, pattern):
    paths = sorted(Path(os.path.abspath(folder)).glob(pattern))
    return [
        (path.parent.name, int(path.name), path)
        for path in paths
        if path.name.isdigit() and any(path.glob("fold_[0-9]*"))
    ]


def collect(runs):
    """Results of every finished fold of runs, as ``find_runs`` lists them."""
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


def unequal_folds(results):
    """What a system lacks of all seeds and folds, by system: a sentence each."""
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
                f"{system} has no result of seed {seed}, fold {fold}{more}"
            )
    return found


def common_folds(results):
    """The results of the folds that every system has with every seed."""
    wanted = results["system"].nunique() * results["seed"].nunique()
    return results[results.groupby("fold")["seed"].transform("size") == wanted]


def check_comparable(results):
    """Refuses results of other manifests or folds than each other's."""
    if results["manifest"].nunique() > 1:
        raise InputError(
            "these runs are of different preparations or protocols of the "
            "corpus; only runs on the same folds can be compared"
        )
    missing = unequal_folds(results)
    if missing:
        raise InputError(
            "these runs have unequal folds:\n"
            + "\n".join(missing.values())
            + "\nFinish them, or leave them out"
        )


def load_predictions(results):
    """Predictions of all systems: ``collect``'s system, seed and fold beside each."""
    tables = []
    for row in results.itertuples():
        table = read_predictions(row.path)
        table.insert(0, "fold", row.fold)
        table.insert(0, "seed", row.seed)
        table.insert(0, "system", row.system)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
