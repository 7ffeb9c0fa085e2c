"""Results of folds and runs, protected by checksums."""

import difflib
import json
from pathlib import Path

from speechbrain_can.io.files import InputError, parsing, read_json, write_json
from speechbrain_can.io.integrity import checksum, checksum_of_file
from speechbrain_can.metrics.metrics import METRICS, evaluate
from speechbrain_can.runs.layout import FoldLayout, RunLayout
from speechbrain_can.runs.predictions import read_predictions
from speechbrain_can.settings.hparams import (
    ALL_FOLDS,
    Settings,
    SettingsError,
    read_settings,
    without_comments,
)

SUM = "sum"  # key of the checksum of a result


def write_result(fold: FoldLayout, result: dict) -> None:
    """Write the result of a fold with checksums of it and of its tables."""
    sums = {
        file.name: checksum_of_file(file)
        for file in fold.tables
        if file.exists()
    }
    _write_with_sum(fold.result, {**result, "tables": sums})


def write_summary(run: RunLayout, summary: dict) -> None:
    """Write ``results.json``, the result of ``summarize``, with a checksum."""
    _write_with_sum(run.results, summary)


def read_summary(run: RunLayout) -> dict:
    """Read ``results.json``.

    Raises ``InputError`` if it was modified.
    """
    path = run.results
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


def _sum_of(result):
    content = {key: value for key, value in result.items() if key != SUM}
    return checksum(json.dumps(content, sort_keys=True).encode())


def read_provenance(fold: FoldLayout) -> dict:
    """Return ``seconds``, ``command`` and ``environment`` of a fold's training.

    They vary between identical runs and are therefore not part of the result.
    Empty if unknown.
    """
    return read_json(fold.provenance) if fold.provenance.exists() else {}


def finished_folds(run: RunLayout) -> list[dict]:
    """Return the results of the finished folds in order.

    Raises ``InputError`` for modified, misplaced or incompatible results.
    """
    results = {
        fold.result: read_json(fold.result)
        for fold in run.folds()
        if fold.finished
    }
    every = {*METRICS, "fold", "n_test", "n_train", "manifest", "tables"}
    for path, result in results.items():
        if not _has_its_sum(result):
            raise InputError(
                f"{path} was modified. Delete it to re-run the test of this fold."
            )
        if path != run.fold(result.get("fold")).result:
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


def check_settings_of_run(run: RunLayout, settings: Settings) -> None:
    """Refuse an output folder that was started with different settings.

    The selected fold and comments may differ. Nothing is checked until the
    training of a fold has started.

    Raises
    ------
    SettingsError
        With the lines that differ.
    """
    started = any(fold.settings.exists() for fold in run.folds())
    if not (run.settings.exists() and started):
        return
    now = without_comments(settings.of_fold(ALL_FOLDS).resolved())
    try:
        before = without_comments(
            read_settings(run.settings).of_fold(ALL_FOLDS).resolved()
        )
    except SettingsError as error:
        raise SettingsError(
            f"{run.folder} was started with settings that cannot be read "
            f"({error}). Pass another --output_folder or delete this one."
        ) from error
    changes = [
        line
        for line in difflib.ndiff(before, now)
        if line.startswith(("-", "+"))
    ]
    if changes:
        raise SettingsError(
            f"{run.folder} was started with different settings:\n"
            + "\n".join(changes)
            + "\nPass another --output_folder or delete this one."
        )


def check_tables(run: RunLayout) -> None:
    """Raise an ``InputError`` if results do not match their tables."""
    for result in finished_folds(run):
        fold = run.fold(result["fold"])
        for name, known in result["tables"].items():
            table = fold.folder / name
            same = table.exists() and known == checksum_of_file(table)
            if same and table == fold.predictions:
                same = _gives(table, result)
            if not same:
                raise InputError(
                    f"{fold.result} does not match {table}. Delete {fold.result} "
                    "to re-run the test of this fold."
                )


def _gives(predictions: Path, result: dict) -> bool:
    """Return whether the scores of a result match its predictions."""
    with parsing(predictions, "a table of predictions"):
        table = read_predictions(predictions)
        found = evaluate(table["true"].tolist(), table["predicted"].tolist())
    return len(table) == result["n_test"] and all(
        abs(result[name] - found[name]) <= 1e-9 for name in METRICS
    )


def check_same_manifest(results: list[dict], fingerprint: str) -> None:
    """Raise an ``InputError`` if results used a different manifest or folds."""
    others = [r["fold"] for r in results if r["manifest"] != fingerprint]
    if others:
        raise InputError(
            f"folds {', '.join(map(str, others))} were trained on a different "
            "preparation of the corpus. Pass another --output_folder or delete "
            "this one."
        )
