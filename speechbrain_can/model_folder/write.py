"""Model folders: everything that prediction needs, in one folder.

SpeechBrain's ``from_hparams`` loads them. A folder contains ``hyperparams.yaml``, the
parameters of the tested checkpoint, the classes, and a model card.
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Sequence

import torch

from speechbrain.utils.logger import get_logger
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.files import InputError, atomic_write, write_json
from speechbrain_can.metrics.metrics import METRICS
from speechbrain_can.model_folder.build import check_model_settings
from speechbrain_can.model_folder.literal import dump, parse
from speechbrain_can.model_folder.parameters import (
    PACKED,
    save_network,
    update_checksums,
)
from speechbrain_can.model_folder.read import CLASSES, FOR_SPEECHBRAIN
from speechbrain_can.model_folder.resolve import literal_settings
from speechbrain_can.model_folder.statistics import STATISTICS, ModelStatistics
from speechbrain_can.settings.hparams import SETTINGS, Settings

logger = get_logger(__name__)
MODEL = "model"
CARD = "README.md"

# Settings of a fold that prediction uses
PARTS = (
    *("compute_features", "conditioning", "segment", "modules"),
    *("normalize_by", "classes", "dimensions"),
)

# Word vectors and subword models are stored with the parameters; prediction may run
# without a GPU
OF_TRAINING = {"glove_file": None, "fold_folder": ".", "feature_device": "cpu"}

# Default aligner and speech recognizer; settings may replace them, or set them to
# null for models that cannot use them
READERS = {
    "aligner": """\
aligner: !new:speechbrain_can.alignment.aligners.sphinx.PocketsphinxAligner {}
""",
    "transcriber": """\
# A size of Whisper, a name on the hub, or a folder in CTranslate2 format
whisper: base
transcriber: !new:speechbrain_can.alignment.recognizers.whisper.WhisperTranscriber
    model: !ref <whisper>
""",
}

# Start of the cards of folds and of packaged models
CARD_HEAD = """\
---
library_name: speechbrain
pipeline_tag: audio-classification
{license}---
# {title}

Speech emotion recognition from audio and text aligned word by word. Classes:
{classes}.

```python
from speechbrain_can.inference.recognizer import EmotionRecognizer

recognizer = EmotionRecognizer.from_hparams("{source}")
prediction = recognizer.classify_file("speech.wav", transcript="the spoken words")
print(prediction.label, prediction.probabilities)
```
"""

CARD_TEXT = (
    CARD_HEAD
    + """
| | |
|---|---|
| training data | {n_train} utterances of {corpus}, {protocol} |
| test data | {n_test} utterances of the same corpus |
| test scores | {scores} |
| recall per class | {recalls} |
| temperature | {temperature:.3f}, fitted on the {n_valid} utterances of the validation set |

## Limitations

The scores apply to speech similar to the corpus. The labels are the perception of
its annotators. The model always predicts one of its classes. Do not use it to make
decisions about people.

Frozen pretrained encoders are not part of this folder. They are loaded by the names
in `{settings}`.
"""
)


def prediction_settings(
    settings: Settings, built: dict[str, Any], temperature: float
) -> str:
    """Return the settings that prediction uses, in the subset that ``parse`` reads.

    ``built`` are the objects of the settings, which provide sizes. Settings outside
    the subset are kept, with a warning: they need ``trust_model_code``.
    """
    parts = [name for name in (*PARTS, *READERS) if settings.has(name)]
    needed = Settings(settings.name, settings.replaced(OF_TRAINING).part(parts))
    # Make paths absolute that lead out of the folder of the fold.
    outside = {
        key: os.path.abspath(value)
        for key, value in needed.plain().items()
        if isinstance(value, str) and ".." in Path(value).parts
    }
    text = needed.replaced(outside).text
    defaults = [READERS[name] for name in READERS if name not in parts]
    whole = "".join([text, *defaults])
    text = f"{whole}temperature: {temperature!r}\n"
    try:
        values = literal_settings(whole, built)
        text = dump({**values, "temperature": temperature})
        check_model_settings(parse(text, SETTINGS), SETTINGS)
    except InputError as error:
        logger.warning(
            "The model folder of %s can only be loaded with trust_model_code=True: %s",
            settings.name,
            error,
        )
    return f"# yamllint disable\n{text}{FOR_SPEECHBRAIN}"


def write_model_folder(
    folder: str | Path,
    settings: str,
    classes: Sequence[str],
    card: str,
    modules: dict[str, torch.nn.Module],
    half: bool = False,
    statistics: ModelStatistics | None = None,
) -> None:
    """Write a folder that ``EmotionRecognizer.from_hparams`` loads.

    An existing folder is replaced once all files are written. ``settings`` are those
    of ``prediction_settings``, ``classes`` the emotions in the order of the logits,
    ``card`` is Markdown, ``half`` stores the parameters in half precision, and
    ``statistics`` are those of the validation and the training set.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        (partial / SETTINGS).write_text(settings, encoding="utf-8")
        (partial / CARD).write_text(card, encoding="utf-8")
        write_json(partial / CLASSES, list(classes))
        files = [SETTINGS, CLASSES]
        if statistics is not None:
            text = statistics.written()
            (partial / STATISTICS).write_text(text, encoding="utf-8")
            files.append(STATISTICS)
        network = torch.nn.ModuleDict(dict(modules))
        save_network(network, partial / PACKED, half, files)
        # safetensors creates files that only their owner can read
        shutil.copymode(partial / SETTINGS, partial / PACKED)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_statistics(folder: str | Path, statistics: ModelStatistics) -> None:
    """Replace the statistics of a model folder that this version wrote.

    The folder can be loaded after an interruption at any point.
    """
    folder = Path(folder)
    others = (SETTINGS, CLASSES)
    # Without a checksum, old and new statistics are accepted.
    update_checksums(folder / PACKED, others)
    with atomic_write(folder / STATISTICS) as stream:
        stream.write(statistics.written())
    update_checksums(folder / PACKED, (*others, STATISTICS))


def write_card(
    settings: Settings,
    corpus: Corpus,
    temperature: float,
    n_valid: int,
    result: dict,
) -> str:
    """Return the model card of a fold in Markdown, from its ``result.json``.

    ``n_valid`` is the number of utterances that ``temperature`` was fitted on.
    """
    return CARD_TEXT.format(
        license="",
        title=f"{settings.name}, {corpus.name}, fold {result['fold']}",
        source=MODEL,
        corpus=corpus.name,
        classes=", ".join(corpus.classes),
        protocol=settings.plain()["preparation"]["protocol"],
        temperature=temperature,
        n_valid=n_valid,
        scores=", ".join(f"{name} {result[name]:.3f}" for name in METRICS),
        recalls=", ".join(
            f"{name} {recall:.2f}" for name, recall in result["recall"].items()
        ),
        settings=SETTINGS,
        **{key: result[key] for key in ("n_train", "n_test")},
    )
