"""Packaging: a small model trained on a whole corpus, for distribution.

The finished folds of a run estimate how well such a model works on unseen
speakers. The packaged model itself is trained on all speakers.
"""

import tempfile
from pathlib import Path
from typing import Any, Sequence

import pandas as pd
import torch

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.experiments.combine import combine
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.conformal import thinned
from speechbrain_can.metrics.metrics import METRICS, recalls
from speechbrain_can.model_folder.ensemble import (
    combined_modules,
    ensemble_settings,
)
from speechbrain_can.model_folder.statistics import ModelStatistics
from speechbrain_can.model_folder.write import (
    CARD_HEAD,
    prediction_settings,
    write_model_folder,
)
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import (
    as_tensors,
    conformal_scores,
    read_predictions,
)
from speechbrain_can.runs.results import (
    check_same_manifest,
    check_tables,
    finished_folds,
)
from speechbrain_can.runs.summary import summarize
from speechbrain_can.settings.hparams import SETTINGS, Settings, read_settings
from speechbrain_can.training.fold import Fold, set_up
from speechbrain_can.training.ranges import training_ranges

# Nonconformity scores per class, which keep the model small
MOST_SCORES = 20

# Default download folder of a packaged model
PRETRAINED = "pretrained_models"

CARD_TEXT = (
    CARD_HEAD
    + """
## Description

{description}

| | |
|---|---|
| networks | {networks}, whose probabilities are averaged |
| training data | all {n_train} utterances of {corpus}, {epochs} epochs |
| evaluation | {folds} models with the same settings, one per fold of {protocol} |
| test scores of single recordings, mean ± standard deviation over folds | {scores} |
{adapted}| recall per class, all folds | {recalls} |
| temperature | {temperature:.3f}, fitted on the pooled test predictions of those folds, because this model has no validation set |
| expected calibration error with temperature | {ece:.3f}; without: {ece_before:.3f} (same predictions) |
| parameters | {parameters:,}, half precision |

The packaged model itself has not been evaluated, because it was trained on all
speakers of the corpus. The scores are those of the models of the folds.

## Limitations

{limits}
"""
)


def package(
    run_folders: Sequence[str | Path],
    output_folder: str | Path,
    title: str,
    description: str,
    limits: str,
    license: str,
    values: dict | None = None,
) -> int:
    """Train the models of runs on their whole corpus and write one model folder.

    Several runs of one system, such as several seeds, become an ensemble. The number
    of epochs is the median of the tested epochs of the folds. The temperature is
    fitted on the test predictions of the folds, averaged over the runs. ``title``,
    ``description`` and ``limits`` are texts of the model card; ``values`` replaces
    settings, such as folders by names on the hub. Returns the number of parameters.
    Raises ``InputError`` if fewer than two folds are finished, or the runs are those
    of different systems.
    """
    runs = [RunLayout(Path(folder)) for folder in run_folders]
    output_folder, values = Path(output_folder), values or {}
    if output_folder.exists() and not (output_folder / SETTINGS).exists():
        raise InputError(
            f"{output_folder} exists and is not a model folder. Choose another "
            "output folder."
        )
    settings = [read_settings(run.settings) for run in runs]
    unknown = [key for key in values if not settings[0].has(key)]
    if unknown:
        raise InputError(f"the settings have no key {', '.join(unknown)}")
    corpus = Corpus.of(settings[0].plain())
    folds = [_complete_folds(run, corpus) for run in runs]
    with tempfile.TemporaryDirectory() as scratch:
        tested = runs[0]
        if len(runs) > 1:
            tested = RunLayout(Path(scratch) / "mean")
            paths = [run.folder for run in runs]
            combine(paths, tested.folder, title, models=False)
        summary = summarize(tested, {})
        table = _predicted(tested, finished_folds(tested))
    trained = []
    for run_settings, own in zip(settings, folds):
        epochs = sorted(fold["tested_epoch"] for fold in own)[len(own) // 2]
        hparams, ranges = train_on_corpus(run_settings, corpus, epochs)
        trained.append((epochs, hparams))
    log_probabilities, targets = as_tensors(table)
    temperature = fit_temperature(log_probabilities, targets)
    error = calibration(log_probabilities, targets, temperature)
    texts = [
        prediction_settings(
            own.replaced({"pretrained_folder": PRETRAINED, **values}),
            hparams,
            temperature,
        )
        for own, (_, hparams) in zip(settings, trained)
    ]
    if any(text != texts[0] for text in texts):
        raise InputError(
            "the runs have different settings, but an ensemble needs runs that "
            "differ in their seed only"
        )
    text, modules = texts[0], trained[0][1]["modules"]
    if len(runs) > 1:
        text = ensemble_settings(text, len(runs), temperature)
        modules = combined_modules([each["modules"] for _, each in trained])
    card = CARD_TEXT.format(
        title=title,
        source=title,
        description=description,
        limits=limits,
        license=f"license: {license}\n",
        corpus=corpus.name,
        classes=", ".join(corpus.classes),
        protocol=corpus.protocol,
        folds=len(summary["folds"]),
        networks=len(runs),
        n_train=len(corpus.utterances),
        epochs=", ".join(str(epochs) for epochs, _ in trained),
        parameters=_count(modules),
        temperature=temperature,
        ece=error["ECE calibrated"],
        ece_before=error["ECE"],
        scores=_scores(summary),
        recalls=", ".join(
            f"{name} {recall:.2f}"
            for name, recall in recalls(
                list(table["true"]), list(table["predicted"])
            ).items()
        ),
        adapted=_adapted(summary),
    )
    write_model_folder(
        output_folder,
        text,
        corpus.classes,
        card,
        modules,
        half=True,
        statistics=ModelStatistics(
            conformal=thinned(
                conformal_scores(table, temperature), MOST_SCORES
            ),
            ranges=ranges,
        ),
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
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    """Train on all utterances for a fixed number of epochs.

    Returns the hparams and the usual ranges of the recordings.
    """
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
            "loggers": None,
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
        return fold.hparams, training_ranges(fold)


def _scores(summary: dict) -> str:
    """Return the mean scores of the folds for the model card."""
    return ", ".join(
        "{} {mean:.3f} ± {std:.3f}".format(name, **summary[name])
        for name in METRICS
    )


def _adapted(summary: dict) -> str:
    """Return the row of the card with the scores of adapted predictions, if any."""
    if "adapted" not in summary:
        return ""
    scores = (f"{name} {summary['adapted'][name]:.3f}" for name in METRICS)
    return (
        "| test scores, adapted to all other recordings of the speaker | "
        f"{', '.join(scores)} |\n"
    )


def _count(modules: dict[str, torch.nn.Module]) -> int:
    """Return the number of parameters."""
    return sum(
        value.numel()
        for module in modules.values()
        for value in module.parameters()
    )


def _predicted(run: RunLayout, folds: list[dict]) -> pd.DataFrame:
    """Return the test predictions of all folds."""
    return pd.concat(
        [read_predictions(run.fold(fold["fold"]).predictions) for fold in folds]
    )
