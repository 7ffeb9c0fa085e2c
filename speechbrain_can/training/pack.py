"""One small model of a whole corpus, to hand on: a model in a box.

The folds of a run say how good such a model is on speakers that it has not heard;
the one that is packed has heard them all."""

import tempfile
from pathlib import Path

import pandas as pd

from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.corpus.prepare import Corpus
from speechbrain_can.files import InputError
from speechbrain_can.hparams import SETTINGS, read_settings
from speechbrain_can.results.calibration import calibration, fit_temperature
from speechbrain_can.results.folds import (
    PREDICTIONS,
    as_tensors,
    check_same_manifest,
    check_tables,
    finished_folds,
    fold_result,
    read_predictions,
    summarise,
)
from speechbrain_can.results.metrics import METRICS, recalls
from speechbrain_can.training.folds import set_up
from speechbrain_can.training.model_folder import write_model_folder

# Where a packed model keeps what it downloads, unless overridden
PRETRAINED = "pretrained_models"
CARD_TEXT = """\
---
library_name: speechbrain
pipeline_tag: audio-classification
license: {licence}
---
# {title}

Emotion of speech from audio and text that are aligned word by word:
{classes}.

```python
from speechbrain_can.inference.recognizer import EmotionRecognizer

recognizer = EmotionRecognizer.from_hparams("{title}")
prediction = recognizer.classify_file("speech.wav", transcript="what is said")
print(prediction.label, prediction.probabilities)
```

## What it is

{description}

| | |
|---|---|
| trained on | all {n_train} utterances of {corpus}, {epochs} epochs |
| tested, by models of the same kind on speakers that they had not heard | {folds} folds, {protocol} |
| test, mean and deviation over folds | {scores} |
| recall, all folds | {recalls} |
| temperature | {temperature:.3f}, fitted on what those folds predicted |
| expected calibration error with it | {ece:.3f}, without it {ece_before:.3f} (on the same predictions) |
| parameters | {parameters:,}, half precision |

The model itself was tested on nobody: it has heard every speaker of the corpus.

## What it must not be used for

{limits}
"""


def pack(
    run_folder, output_folder, title, description, limits, licence, values=None
):
    """Trains a run's model on its whole corpus, and writes it small.

    It trains for the median number of epochs after which the folds were best.
    The temperature is fitted on what the folds predicted of their test sets.

    Arguments
    ---------
    run_folder : str or Path
        Of a run with several finished folds.
    output_folder : str or Path
        Where ``hyperparams.yaml``, ``network.safetensors``,
        ``label_encoder.ckpt`` and the model card go.
    title, description, limits, licence : str
        Of the model card.
    values : dict of str: object or None
        What its settings have instead of the run's: names on the hub in the
        place of folders.

    Returns
    -------
    int
        Parameters.

    Raises
    ------
    InputError
        If no fold is finished.
    """
    run_folder, output_folder = Path(run_folder), Path(output_folder)
    values = values or {}
    if output_folder.exists() and not (output_folder / SETTINGS).exists():
        raise InputError(
            f"{output_folder} is there and no model folder; give another one"
        )
    settings = read_settings(run_folder / SETTINGS)
    hparams = settings.plain()
    protocol = hparams["preparation"]["protocol"]
    corpus = Corpus.load(hparams["prepared_folder"], protocol)
    folds = finished_folds(run_folder)
    if len(folds) < 2 or any("tested_epoch" not in fold for fold in folds):
        raise InputError(
            f"{run_folder} has not two or more finished folds of this version, "
            "which say how good the model is"
        )
    check_tables(run_folder)
    check_same_manifest(folds, corpus.digest)
    unknown = [key for key in values if not settings.has(key)]
    if unknown:
        raise InputError(f"the settings have no {', '.join(unknown)} to set")
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


def _predicted(run_folder, folds):
    """What the folds predicted of their test sets, all of them together."""
    paths = (
        fold_result(run_folder, fold["fold"]).with_name(PREDICTIONS)
        for fold in folds
    )
    table = pd.concat([read_predictions(path) for path in paths])
    log_probabilities, targets = as_tensors(table)
    return log_probabilities, targets, table["true"], table["predicted"]
