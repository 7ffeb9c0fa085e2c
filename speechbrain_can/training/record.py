"""Results and files of a trained fold."""

from pathlib import Path
from typing import Sequence

import pandas as pd
import torch

from speechbrain.utils.logger import get_logger
from speechbrain_can.corpus.manifest import column_value, resolve_wav
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import write_json
from speechbrain_can.metrics.calibration import calibration, fit_temperature
from speechbrain_can.metrics.conformal import nonconformity
from speechbrain_can.metrics.dimensions import evaluate_dimensions
from speechbrain_can.metrics.metrics import METRICS, evaluate, recalls
from speechbrain_can.model_folder.statistics import ModelStatistics
from speechbrain_can.model_folder.write import (
    prediction_settings,
    write_card,
    write_model_folder,
)
from speechbrain_can.runs.predictions import (
    write_attention,
    write_dimensions,
    write_predictions,
)
from speechbrain_can.runs.results import write_result
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.checkpoints import training_effort
from speechbrain_can.training.environment import (
    command_line,
    describe_environment,
)
from speechbrain_can.training.fold import Fold
from speechbrain_can.training.ranges import training_ranges

logger = get_logger(__name__)


def record_fold(
    brain: EmotionBrain,
    fold: Fold,
    valid: tuple[torch.Tensor, torch.Tensor],
    adapted: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> None:
    """Write predictions, attention, model folder, result and figure of a fold.

    ``valid`` contains log-probabilities and targets of the validation set, and
    ``adapted`` those of the test set, adapted to its speakers.
    """
    corpus, layout = fold.corpus, fold.layout
    scores = brain.tested_checkpoint.meta.get("scores", {})
    temperature = fit_temperature(*valid)
    statistics = ModelStatistics(
        conformal=nonconformity(
            (valid[0] / temperature).softmax(1).numpy(),
            valid[1].numpy(),
            corpus.classes,
        ),
        ranges=training_ranges(fold),
    )
    _write_decisions(
        layout.valid_predictions, fold.parts["valid"], *valid, corpus.classes
    )
    test = (brain.test_log_probabilities, brain.test_targets)
    true, predicted = _write_decisions(
        layout.predictions, brain.test_ids, *test, corpus.classes
    )
    scores_adapted = {}
    if adapted is not None:
        decided = _write_decisions(
            layout.adapted_predictions,
            fold.parts["test"],
            *adapted,
            corpus.classes,
        )
        scores_adapted = {"adapted": evaluate(*decided)}
    if brain.test_attention:
        write_attention(layout.attention, brain.test_ids, brain.test_attention)
    epochs, seconds = training_effort(brain.checkpointer)
    result = {
        "fold": fold.settings.fold,
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        **scores_adapted,
        **head_recalls(brain.test_heads, brain.test_targets, corpus.classes),
        **_record_dimensions(brain, fold),
        **by_corpus(corpus, brain.test_ids, true, predicted),
        **calibration(*test, temperature),
        "n_test": len(true),
        "n_train": len(fold.parts["train"]),
        "manifest": corpus.fingerprint,
        "epochs": epochs,
        "tested_epoch": brain.tested_checkpoint.meta["epoch"],
        # in the order of METRICS
        "valid": {name: scores[name] for name in METRICS if name in scores},
    }
    provenance = {
        "seconds": round(seconds, 1),
        "command": command_line(),
        "environment": describe_environment(brain.device),
    }
    write_json(layout.provenance, provenance)
    write_model_folder(
        layout.model,
        prediction_settings(fold.settings, fold.hparams, temperature),
        corpus.classes,
        write_card(fold.settings, corpus, temperature, len(valid[1]), result),
        fold.hparams["modules"],
        statistics=statistics,
    )
    if fold.hparams["draw_attention"] and brain.test_attention:
        draw_attention(brain, fold)
    # This file marks the fold as finished.
    write_result(layout, result)


def head_recalls(
    heads: dict[str, torch.Tensor],
    targets: torch.Tensor,
    classes: Sequence[str],
) -> dict:
    """Return the hits of each classifier, such as text and audio, as ``heads``.

    ``hits`` and ``counts`` are those of the classes, in order. Nothing if there is a
    single classifier.
    """
    if len(heads) < 2:
        return {}
    counts = torch.bincount(targets, minlength=len(classes))
    return {
        "heads": {
            name: {
                "hits": torch.bincount(
                    targets[predicted == targets], minlength=len(classes)
                ).tolist(),
                "counts": counts.tolist(),
            }
            for name, predicted in heads.items()
        }
    }


def _record_dimensions(brain: EmotionBrain, fold: Fold) -> dict:
    """Write the dimensions of the test set, if any; return their metrics."""
    if brain.test_dimensions is None:
        return {}
    names = fold.hparams["dimensions"]
    write_dimensions(
        fold.layout.dimensions, brain.test_ids, *brain.test_dimensions, names
    )
    return {"dimensions": evaluate_dimensions(*brain.test_dimensions, names)}


def by_corpus(
    corpus: Corpus,
    ids: Sequence[str],
    true: Sequence[str],
    predicted: Sequence[str],
) -> dict:
    """Return the metrics per corpus of several as ``corpora``; else nothing."""
    if not all("corpus" in u.extra for u in corpus.utterances.values()):
        return {}
    names = [column_value(corpus.utterances[i], "corpus") for i in ids]
    table = pd.DataFrame({"true": true, "predicted": predicted})
    return {
        "corpora": {
            name: {
                "n_test": len(own),
                **evaluate(list(own["true"]), list(own["predicted"])),
            }
            for name, own in table.groupby(names)
        }
    }


def _write_decisions(
    path: Path,
    ids: Sequence[str],
    log_probabilities: torch.Tensor,
    targets: torch.Tensor,
    classes: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Write predictions; return the reference and the predicted labels."""
    true = [classes[i] for i in targets.tolist()]
    predicted = [classes[i] for i in log_probabilities.argmax(1).tolist()]
    probabilities = log_probabilities.exp().numpy()
    write_predictions(path, ids, true, predicted, probabilities, classes)
    return true, predicted


def draw_attention(brain: EmotionBrain, fold: Fold) -> None:
    """Plot the attention of one test utterance to ``attention.png``.

    The utterance is the correct prediction with the highest confidence among
    those with four to twelve words, or among all if there is none.
    """
    try:
        from speechbrain_can.runs.attention_figure import plot_utterance
    except ImportError:
        logger.warning(
            "Skipping the attention figure, because matplotlib is not installed. "
            "Run pip install 'speechbrain_can[plots]'."
        )
        return
    hparams, corpus = fold.hparams, fold.corpus
    confidence, predicted = brain.test_log_probabilities.max(dim=1)
    readable = [
        4 <= len(corpus.utterances[i].words) <= 12 for i in brain.test_ids
    ]
    correct = (predicted == brain.test_targets).tolist()
    chosen = max(
        range(len(brain.test_ids)),
        key=lambda i: (readable[i] and correct[i], confidence[i].item()),
    )
    utterance = corpus.utterances[brain.test_ids[chosen]]
    sample_rate = hparams["compute_features"].sample_rate
    probabilities = brain.test_log_probabilities[chosen].exp().tolist()
    plot_utterance(
        fold.layout.attention_figure,
        utterance,
        read_waveform(resolve_wav(utterance, corpus.data_folder), sample_rate),
        sample_rate,
        brain.test_attention[chosen],
        hparams["segment"](utterance.words),
        dict(zip(corpus.classes, probabilities)),
    )
