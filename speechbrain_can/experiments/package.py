"""Packaging: a small model trained on a whole corpus, for distribution.

The finished folds of a run estimate how well such a model works on unseen
speakers. The packaged model itself is trained on all speakers.
"""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.metrics import METRICS, recalls
from speechbrain_can.model_folder.write import (
    CARD_HEAD,
    prediction_settings,
    write_model_folder,
)
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import as_tensors, read_predictions
from speechbrain_can.runs.results import (
    check_same_manifest,
    check_tables,
    finished_folds,
)
from speechbrain_can.runs.summary import summarize
from speechbrain_can.settings.hparams import SETTINGS, Settings, read_settings
from speechbrain_can.training.fold import Fold, set_up

# Default download folder of a packaged model
PRETRAINED = "pretrained_models"

CARD_TEXT = (
    CARD_HEAD
    + """
## Description

{description}

| | |
|---|---|
| training data | all {n_train} utterances of {corpus}, {epochs} epochs |
| evaluation | {folds} models with the same settings, one per fold of {protocol} |
| test scores, mean ± standard deviation over folds | {scores} |
| recall per class, all folds | {recalls} |
| temperature | {temperature:.3f}, fitted on the pooled test predictions of those folds, because this model has no validation set |
| expected calibration error with temperature | {ece:.3f}; without: {ece_before:.3f} (same predictions) |
| parameters | {parameters:,}, half precision |

The packaged model itself has not been evaluated, because it was trained on all
speakers of the corpus. The scores are those of the models of the folds.

## Limitations

{limits}
"""
)


def pack(
    run_folder: str | Path,
    output_folder: str | Path,
    title: str,
    description: str,
    limits: str,
    license: str,
    values: dict | None = None,
) -> int:
    """Train the model of a run on its whole corpus and write a model folder.

    The number of epochs is the median of the tested epochs of the folds. The
    temperature is fitted on the test predictions of the folds. ``title``,
    ``description`` and ``limits`` are texts of the model card; ``values`` replaces
    settings, such as folders by names on the hub. Returns the number of parameters.
    Raises ``InputError`` if fewer than two folds are finished.
    """
    run, output_folder = RunLayout(Path(run_folder)), Path(output_folder)
    values = values or {}
    if output_folder.exists() and not (output_folder / SETTINGS).exists():
        raise InputError(
            f"{output_folder} exists and is not a model folder. Choose another "
            "output folder."
        )
    settings = read_settings(run.settings)
    unknown = [key for key in values if not settings.has(key)]
    if unknown:
        raise InputError(f"the settings have no key {', '.join(unknown)}")
    corpus = Corpus.of(settings.plain())
    folds = _complete_folds(run, corpus)
    epochs = sorted(fold["tested_epoch"] for fold in folds)[len(folds) // 2]
    hparams = train_on_corpus(settings, corpus, epochs)
    modules = hparams["modules"]
    log_probabilities, targets, true, predicted = _predicted(run, folds)
    temperature = fit_temperature(log_probabilities, targets)
    error = calibration(log_probabilities, targets, temperature)
    card = CARD_TEXT.format(
        title=title,
        source=title,
        description=description,
        limits=limits,
        license=f"license: {license}\n",
        corpus=corpus.name,
        classes=", ".join(corpus.classes),
        protocol=corpus.protocol,
        folds=len(folds),
        n_train=len(corpus.utterances),
        epochs=epochs,
        parameters=_count(modules),
        temperature=temperature,
        ece=error["ECE calibrated"],
        ece_before=error["ECE"],
        **_format_scores(run, list(true), list(predicted)),
    )
    write_model_folder(
        output_folder,
        prediction_settings(
            settings.replaced({"pretrained_folder": PRETRAINED, **values}),
            hparams,
            temperature,
        ),
        corpus.classes,
        card,
        modules,
        half=True,
    )
    return _count(modules)


def _complete_folds(run: RunLayout, corpus: Corpus) -> list[dict]:
    """Return the results of a run that can be packaged."""
    folds = finished_folds(run)
    if len(folds) < 2 or any("tested_epoch" not in fold for fold in folds):
        raise InputError(
            f"{run.folder} has fewer than two finished folds, which are needed to "
            "estimate the scores of the model. Train more folds."
        )
    check_tables(run)
    check_same_manifest(folds, corpus.fingerprint)
    return folds


def train_on_corpus(
    settings: Settings, corpus: Corpus, epochs: int
) -> dict[str, Any]:
    """Train on all utterances for a fixed number of epochs; return the hparams."""
    run_opts = RunOptions(
        device="cpu",
        noprogressbar=True,
        overridden_args={"device", "noprogressbar"},
    )
    with tempfile.TemporaryDirectory() as scratch:
        changes = {
            "fold": 0,
            "output_folder": scratch,
            "number_of_epochs": epochs,
            "use_tensorboard": False,
        }
        fold = Fold(
            settings.replaced(changes),
            corpus,
            {"train": sorted(corpus.utterances)},
        )
        brain, datasets, loading = set_up(fold, run_opts)
        brain.fit(
            epoch_counter=fold.hparams["epoch_counter"],
            train_set=datasets["train"],
            train_loader_kwargs=loading["train"],
        )
        return fold.hparams


def _format_scores(
    run: RunLayout, true: list[str], predicted: list[str]
) -> dict[str, str]:
    """Return the scores and recalls of the folds for the model card."""
    scores = summarize(run, {})
    return {
        "scores": ", ".join(
            "{} {mean:.3f} ± {std:.3f}".format(name, **scores[name])
            for name in METRICS
        ),
        "recalls": ", ".join(
            f"{name} {recall:.2f}"
            for name, recall in recalls(true, predicted).items()
        ),
    }


def _count(modules: dict[str, torch.nn.Module]) -> int:
    """Return the number of parameters."""
    return sum(
        value.numel()
        for module in modules.values()
        for value in module.parameters()
    )


def _predicted(
    run: RunLayout, folds: list[dict]
) -> tuple[torch.Tensor, torch.Tensor, pd.Series, pd.Series]:
    """Return the test predictions of all folds."""
    table = pd.concat(
        [read_predictions(run.fold(fold["fold"]).predictions) for fold in folds]
    )
    log_probabilities, targets = as_tensors(table)
    return log_probabilities, targets, table["true"], table["predicted"]
