"""Tables of predictions and attention."""

from pathlib import Path
from typing import Sequence

import numpy as np
import pandas as pd
import torch

from speechbrain_can.io.files import atomic_write
from speechbrain_can.metrics.conformal import Scores, nonconformity


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


def conformal_scores(table: pd.DataFrame, temperature: float) -> Scores:
    """Return the nonconformity scores of predictions, after temperature scaling."""
    log_probabilities, targets = as_tensors(table)
    probabilities = (log_probabilities / temperature).softmax(dim=1)
    return nonconformity(
        probabilities.numpy(), targets.numpy(), list(table.columns[3:])
    )


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


def write_dimensions(
    path: Path,
    ids: Sequence[str],
    values: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    """Write ``dimensions.csv``: ID, and label and prediction of each dimension.

    ``values`` and ``labels`` are ``[utterances, dimensions]``; labels may be NaN.
    """
    columns = {"ID": list(ids)}
    for i, name in enumerate(names):
        columns[name] = labels[:, i]
        columns[f"predicted {name}"] = values[:, i]
    with atomic_write(path) as stream:
        pd.DataFrame(columns).sort_values("ID").to_csv(
            stream, index=False, float_format="%.6f"
        )


def read_dimensions(path: Path) -> pd.DataFrame:
    """Read the dimensions of a test set with one row per utterance."""
    return pd.read_csv(path, dtype={"ID": str})


def dimension_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the dimensions of a table."""
    return list(table.columns[1::2])


def read_attention(path: Path, modality: str) -> dict[str, list[float]]:
    """Return the weights of the words by utterance ID, for one modality."""
    table = pd.read_csv(path, dtype=str)
    table = table[table["modality"] == modality]
    return {
        utterance_id: [float(weight) for weight in weights.split()]
        for utterance_id, weights in zip(table["ID"], table["attention"])
    }
