"""Results of folds and runs, protected by checksums."""

import json
import zlib
from pathlib import Path

from speechbrain_can.io.files import InputError, parsing, read_json, write_json
from speechbrain_can.metrics.metrics import METRICS, evaluate
from speechbrain_can.runs.layout import (
    FOLD_RESULT,
    PREDICTIONS,
    PROVENANCE,
    RESULTS,
    TABLES,
    fold_result,
)
from speechbrain_can.runs.predictions import read_predictions

SUM = "sum"  # key of the checksum of a result


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
