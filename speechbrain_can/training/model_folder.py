"""A model to hand on: all that prediction needs, in a folder of its own.

It is what SpeechBrain's ``from_hparams`` loads: ``hyperparams.yaml``, the
parameters of the tested checkpoint, the classes, and a model card."""

import os
import shutil
import uuid
from pathlib import Path

import torch

from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain_can.hparams import SETTINGS, Settings
from speechbrain_can.results.metrics import METRICS
from speechbrain_can.training.parameters import PACKED, save_network

MODEL = "model"
CARD = "README.md"
CLASSES = "label_encoder.ckpt"
# What prediction reads of the settings of a fold
PARTS = ("compute_features", "segment", "modules", "normalize_by")
# Vectors and pieces of words come with the parameters, and who predicts may have no GPU
OF_TRAINING = {"glove_file": None, "fold_folder": ".", "feature_device": "cpu"}
# What makes words of a recording, where the settings do not choose; null for
# one that a model cannot use
READERS = {
    "aligner": """\
aligner: !new:speechbrain_can.alignment.sphinx.PocketsphinxAligner {}
""",
    "transcriber": """\
# A size of Whisper, a name on the hub, or a folder of CTranslate2's format
whisper: base
transcriber: !new:speechbrain_can.alignment.transcribe.WhisperTranscriber
    model: !ref <whisper>
""",
}
PRETRAINER = """\
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
network: !new:torch.nn.ModuleDict
    modules: !ref <modules>
pretrainer: !new:speechbrain_can.inference.packed.PackedPretrainer
    loadables:
        network: !ref <network>
        label_encoder: !ref <label_encoder>
"""

CARD_TEXT = """\
---
library_name: speechbrain
pipeline_tag: audio-classification
---
# {name}, {corpus}, fold {fold}

Emotion of speech from audio and text that are aligned word by word:
{classes}.

```python
from speechbrain_can.inference.recognizer import EmotionRecognizer

recognizer = EmotionRecognizer.from_hparams("{folder}")
prediction = recognizer.classify_file("speech.wav", transcript="what is said")
print(prediction.label, prediction.probabilities)
```

| | |
|---|---|
| trained on | {n_train} utterances of {corpus}, {protocol} |
| tested on | {n_test} other utterances |
| test | {scores} |
| recall | {recalls} |
| temperature | {temperature:.3f}, fitted on the validation set |

The figures hold for speech like that of the corpus. Emotions are as its
annotators heard them; the model knows no others and always names one. It must
not decide on people.

Pretrained models that are not trained are no part of this folder: they are
loaded by the names in `{settings}`.
"""


def prediction_settings(settings, temperature):
    """The settings of a fold, as far as prediction reads them: HyperPyYAML."""
    given = [name for name in READERS if settings.has(name)]
    parts = [name for name in PARTS if settings.has(name)]
    needed = Settings(
        settings.name,
        settings.replaced(OF_TRAINING).part([*parts, *given]),
    )
    # a model folder has no other beside it
    outside = {
        key: os.path.abspath(value)
        for key, value in needed.plain().items()
        if isinstance(value, str) and ".." in Path(value).parts
    }
    lines = [
        "# yamllint disable",
        needed.replaced(outside).text.rstrip(),
        f"temperature: {temperature!r}",
        *(text for name, text in READERS.items() if name not in given),
        PRETRAINER,
    ]
    return "\n".join(lines)


def write_model_folder(
    folder, settings, classes, temperature, card, modules, half=False
):
    """Writes what ``EmotionRecognizer.from_hparams`` loads.

    Arguments
    ---------
    folder : str or Path
        Replaced when everything is written.
    settings : Settings
        Of the fold.
    classes : list of str
        The emotions, in the order of the logits.
    temperature : float
        See ``calibration.fit_temperature``.
    card : str
        The model card, in Markdown.
    modules : dict of str: torch.nn.Module
        What was trained.
    half : bool
        Whether the parameters are written in half precision.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        text = prediction_settings(settings, temperature)
        (partial / SETTINGS).write_text(text, encoding="utf-8")
        (partial / CARD).write_text(card, encoding="utf-8")
        label_encoder = CategoricalEncoder()
        label_encoder.update_from_iterable(classes)
        label_encoder.save(partial / CLASSES)
        network = torch.nn.ModuleDict(dict(modules))
        save_network(network, partial / PACKED, half, (SETTINGS, CLASSES))
        # which safetensors lets nobody else read
        shutil.copymode(partial / SETTINGS, partial / PACKED)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_card(settings, corpus, temperature, result):
    """The model card of a fold, from its ``result.json``, in Markdown."""
    return CARD_TEXT.format(
        name=settings.name,
        corpus=corpus.name,
        classes=", ".join(corpus.classes),
        protocol=settings.plain()["preparation"]["protocol"],
        temperature=temperature,
        scores=", ".join(f"{name} {result[name]:.3f}" for name in METRICS),
        recalls=", ".join(
            f"{name} {recall:.2f}" for name, recall in result["recall"].items()
        ),
        settings=SETTINGS,
        folder=MODEL,
        **{key: result[key] for key in ("fold", "n_train", "n_test")},
    )
