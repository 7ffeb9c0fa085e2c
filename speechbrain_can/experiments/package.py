"""Packaging: a small model trained on a whole corpus, for distribution.

The finished folds of a run estimate how well such a model works on unseen
speakers. The packaged model itself is trained on all speakers.
"""

import tempfile
from pathlib import Path

import pandas as pd
import torch

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.preparation import Corpus
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.metrics import METRICS, recalls
from speechbrain_can.model_folder.write import write_model_folder
from speechbrain_can.runs.layout import PREDICTIONS, fold_result
from speechbrain_can.runs.predictions import as_tensors, read_predictions
from speechbrain_can.runs.results import (
    check_same_manifest,
    check_tables,
    finished_folds,
)
from speechbrain_can.runs.summary import summarise
from speechbrain_can.settings.hparams import SETTINGS, read_settings
from speechbrain_can.training.fold import set_up

# Default download folder of a packaged model
PRETRAINED = "pretrained_models"

CARD_TEXT = """\
---
library_name: speechbrain
pipeline_tag: audio-classification
license: {licence}
---
# {title}

Speech emotion recognition from audio and text aligned word by word. Classes:
{classes}.

```python
from speechbrain_can.inference.recognizer import EmotionRecognizer

recognizer = EmotionRecognizer.from_hparams("{title}")
prediction = recognizer.classify_file("speech.wav", transcript="I like apples")
print(prediction.label, prediction.probabilities)
```

## Description

{description}

| | |
|---|---|
| training data | all {n_train} utterances of {corpus}, {epochs} epochs |
| evaluation | {folds} models with the same settings, one per fold of {protocol} |
| test scores, mean ± standard deviation over folds | {scores} |
| recall per class, all folds | {recalls} |
| temperature | {temperature:.3f}, fitted on the test predictions of those folds |
| expected calibration error with temperature | {ece:.3f}; without: {ece_before:.3f} (same predictions) |
| parameters | {parameters:,}, half precision |

This model has not been evaluated itself, because it is trained on all speakers of
the corpus.

## Limitations

{limits}
"""


def pack(
    run_folder: str | Path,
    output_folder: str | Path,
    title: str,
    description: str,
    limits: str,
    licence: str,
    values: dict | None = None,
) -> int:
    """Train the model of a run on its whole corpus and write a model folder.

    The number of epochs is the median of the tested epochs of the folds. The
    temperature is fitted on the test predictions of the folds.

    Arguments
    ---------
    run_folder : str or Path
        A run with several finished folds.
    output_folder : str or Path
        Output folder for ``hyperparams.yaml``, ``network.safetensors``,
        ``label_encoder.ckpt`` and the model card.
    title, description, limits, licence : str
        Texts of the model card.
    values : dict of str: object or None
        Settings to replace, such as folders by names on the hub.

    Returns
    -------
    int
        Number of parameters.

    Raises
    ------
    InputError
        If fewer than two folds are finished.
    """
    run_folder, output_folder = Path(run_folder), Path(output_folder)
    values = values or {}
    if output_folder.exists() and not (output_folder / SETTINGS).exists():
        raise InputError(
            f"{output_folder} exists and is not a model folder. Choose another "
            "output folder."
        )
    settings = read_settings(run_folder / SETTINGS)
    hparams = settings.plain()
    protocol = hparams["preparation"]["protocol"]
    corpus = Corpus.load(hparams["prepared_folder"], protocol)
    folds = finished_folds(run_folder)
    if len(folds) < 2 or any("tested_epoch" not in fold for fold in folds):
        raise InputError(
            f"{run_folder} has fewer than two finished folds, which are needed to "
            "estimate the scores of the model. Train more folds."
        )
    check_tables(run_folder)
    check_same_manifest(folds, corpus.digest)
    unknown = [key for key in values if not settings.has(key)]
    if unknown:
        raise InputError(f"the settings have no key {', '.join(unknown)}")
    epochs = sorted(fold["tested_epoch"] for fold in folds)[len(folds) // 2]
    with tempfile.TemporaryDirectory() as scratch:
        built = settings.replaced(
            {
                "fold": 0,
                "output_folder": scratch,
                "number_of_epochs": epochs,
                "use_tensorboard": False,
            }
        ).build()
        run_opts = RunOptions(
            device="cpu",
            noprogressbar=True,
            overridden_args={"device", "noprogressbar"},
        )
        everything = {"train": sorted(corpus.utterances)}
        brain, datasets, loading = set_up(built, run_opts, corpus, everything)
        brain.fit(
            epoch_counter=built["epoch_counter"],
            train_set=datasets["train"],
            train_loader_kwargs=loading["train"],
        )
    log_probabilities, targets, true, predicted = _predicted(run_folder, folds)
    temperature = fit_temperature(log_probabilities, targets)
    error = calibration(log_probabilities, targets, temperature)
    parameters = sum(
        value.numel()
        for module in built["modules"].values()
        for value in module.parameters()
    )
    scores = summarise(run_folder, {})
    card = CARD_TEXT.format(
        title=title,
        description=description,
        limits=limits,
        licence=licence,
        corpus=corpus.name,
        classes=", ".join(corpus.classes),
        protocol=protocol,
        folds=len(folds),
        n_train=len(corpus.utterances),
        epochs=epochs,
        parameters=parameters,
        temperature=temperature,
        ece=error["ECE calibrated"],
        ece_before=error["ECE"],
        scores=", ".join(
            "{} {mean:.3f} ± {std:.3f}".format(name, **scores[name])
            for name in METRICS
        ),
        recalls=", ".join(
            f"{name} {recall:.2f}"
            for name, recall in recalls(list(true), list(predicted)).items()
        ),
    )
    write_model_folder(
        output_folder,
        settings.replaced({"pretrained_folder": PRETRAINED, **values}),
        corpus.classes,
        temperature,
        card,
        built["modules"],
        half=True,
    )
    return parameters


def _predicted(
    run_folder: Path, folds: list[dict]
) -> tuple[torch.Tensor, torch.Tensor, pd.Series, pd.Series]:
    """Return the test predictions of all folds."""
    paths = (
        fold_result(run_folder, fold["fold"]).with_name(PREDICTIONS)
        for fold in folds
    )
    table = pd.concat([read_predictions(path) for path in paths])
    log_probabilities, targets = as_tensors(table)
    return log_probabilities, targets, table["true"], table["predicted"]
