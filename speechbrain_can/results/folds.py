"""What a run found: predictions, accuracies, and the table of its folds.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import pandas as pd

from speechbrain_can.files import atomic_write, read_json, write_json
from speechbrain_can.results.metrics import METRICS

FOLD_RESULT = "result.json"


ATTENTION_TABLE = "attention.csv"


def fold_result(output_folder, fold):
    """Where the result of a fold is, once it is finished.

    Arguments
    ---------
    output_folder : str or Path
        The run.
    fold : int
        The fold.

    Returns
    -------
    Path
        Its ``result.json``.
    """
    return Path(output_folder) / f"fold_{fold}" / FOLD_RESULT


def write_predictions(path, ids, true, predicted, probabilities, classes):
    """Writes the predictions of a fold, sorted by ID.

    Arguments
    ---------
    path : str or Path
        The CSV file: ``ID``, ``true``, ``predicted``, one probability a class.
    ids : list of str
        The utterances.
    true, predicted : list of str
        Their labels, and what the model says.
    probabilities : array_like
        Shape ``[utterances, classes]``.
    classes : list of str
        Their names, in the order of the probabilities.
    """
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "ID", ids)
    table.insert(1, "true", true)
    table.insert(2, "predicted", predicted)
    with atomic_write(path) as stream:
        table.sort_values("ID").to_csv(stream, index=False, float_format="%.6f")


def write_attention(path, ids, attention):
    """Writes where a model looked in each test utterance, sorted by ID.

    Arguments
    ---------
    path : str or Path
        The CSV file: ``ID``, ``modality`` (text or audio), ``attention``: the
        weights of the words, mean over heads, separated by spaces.
    ids : list of str
        The utterances.
    attention : list of dict of str: list of float
        The weights of each utterance by modality.
    """
    rows = [
        (name, modality, " ".join(f"{weight:.6f}" for weight in weights))
        for name, by_modality in zip(ids, attention)
        for modality, weights in by_modality.items()
    ]
    table = pd.DataFrame(rows, columns=["ID", "modality", "attention"])
    with atomic_write(path) as stream:
        table.sort_values("ID", kind="stable").to_csv(stream, index=False)


def read_attention(path, modality):
    """Reads what ``write_attention`` wrote, of one modality.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    modality : str
        ``text`` or ``audio``.

    Returns
    -------
    dict of str: list of float
        The weights of the words by utterance.
    """
    table = pd.read_csv(path, dtype=str)
    table = table[table["modality"] == modality]
    return {
        name: [float(weight) for weight in weights.split()]
        for name, weights in zip(table["ID"], table["attention"])
    }


def finished_folds(output_folder):
    """Results of the folds that are finished, in order.

    Arguments
    ---------
    output_folder : str or Path
        The run.

    Returns
    -------
    list of dict
        What each fold's ``result.json`` holds.
    """
    results = [
        read_json(path)
        for path in Path(output_folder).glob(f"fold_[0-9]*/{FOLD_RESULT}")
    ]
    return sorted(results, key=lambda result: result["fold"])


def summarise(output_folder, description):
    """Writes ``results.json`` from the folds that are finished.

    Arguments
    ---------
    output_folder : str or Path
        The run.
    description : dict
        ``model``, ``corpus``, ``protocol`` and ``classes``.

    Returns
    -------
    dict
        The description, ``folds``, and mean and sample standard deviation of
        ``WA`` and ``UA`` over the folds (None for the deviation of one fold).
    """
    folds = finished_folds(output_folder)
    summary = {**description, "folds": folds}
    for metric in METRICS:
        values = pd.Series([fold[metric] for fold in folds])
        std = float(values.std()) if len(values) > 1 else None
        summary[metric] = {"mean": float(values.mean()), "std": std}
    write_json(Path(output_folder) / "results.json", summary)
    return summary


def format_table(summary):
    """A summary as text.

    Arguments
    ---------
    summary : dict
        What ``summarise`` returns.

    Returns
    -------
    str
        A table: a row a fold, then mean and standard deviation.
    """
    table = pd.DataFrame(summary["folds"])
    columns = ["fold", *METRICS, "n_test", "epochs", "seconds"]
    formats = {
        "WA": "{:.3f}".format,
        "UA": "{:.3f}".format,
        "seconds": "{:.0f}".format,
    }
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
    return "\n".join(lines)


def collect(folder):
    """Reads the results of every finished fold.

    Arguments
    ---------
    folder : str or Path
        The comparison: runs in ``<system>/<seed>``.

    Returns
    -------
    pandas.DataFrame
        A row a fold: ``system``, ``seed`` and what its ``result.json`` holds.
    """
    rows = [
        {"system": run.parent.name, "seed": int(run.name), **result}
        for run in sorted(Path(folder).glob("*/*[0-9]"))
        for result in finished_folds(run)
    ]
    return pd.DataFrame(
        rows, columns=["system", "seed", "fold", *METRICS, "seconds"]
    )
