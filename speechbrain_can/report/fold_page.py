"""HTML page of the test set of a fold."""

from pathlib import Path

import numpy as np

from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.manifest import Utterance, resolve_wav
from speechbrain_can.inference.evaluation import encode_group, group_by
from speechbrain_can.inference.loading import load_recognizer
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.metrics.metrics import evaluate
from speechbrain_can.report.data import load_corpus
from speechbrain_can.report.pages import confusion_cells
from speechbrain_can.report.prediction_page import (
    PAGE_RATE,
    PageEntry,
    write_page,
)
from speechbrain_can.runs.layout import FoldLayout
from speechbrain_can.settings.hparams import SETTINGS, read_settings


def write_fold_page(
    path: str | Path, fold_folder: str | Path, most: int = 60
) -> int:
    """Write the page of a fold, high-confidence errors first.

    The page contains at most ``most`` utterances; their number is returned. Raises
    ``InputError`` if the folder does not belong to a finished fold.
    """
    fold = FoldLayout(Path(fold_folder))
    if not (fold.model / SETTINGS).exists():
        raise InputError(
            f"{fold.folder} contains no model. Pass a folder fold_<number> of a "
            "finished run."
        )
    settings = read_settings(fold.settings)
    manifest = read_json(fold.result)["manifest"]
    _, corpus = load_corpus(fold.run, manifest)
    recognizer = load_recognizer(fold.model)
    tested = set(split_fold(corpus.folds, settings.fold)["test"])
    column = recognizer.normalize_by
    utterances = [
        each
        for name, each in corpus.utterances.items()
        if column or name in tested
    ]
    found = []
    for group in group_by(utterances, column):
        encoded, refused = encode_group(recognizer, group, corpus.data_folder)
        for name, reason in refused.items():
            raise InputError(f"{name}: {reason}")
        predictions = recognizer.classify_encoded(
            list(encoded.values()), [None] * len(encoded)
        )
        found += [
            (corpus.utterances[name], prediction)
            for name, prediction in zip(encoded, predictions)
            if name in tested
        ]
    true = [utterance.emotion for utterance, _ in found]
    predicted = [prediction.label for _, prediction in found]
    shown = choose_examples(found, most)
    write_page(
        path,
        f"Fold {settings.fold} on {corpus.name}, {corpus.protocol}",
        (
            PageEntry(
                utterance.utterance_id,
                read_waveform(
                    resolve_wav(utterance, corpus.data_folder), PAGE_RATE
                ),
                [prediction],
                utterance.emotion,
                utterance.speaker,
            )
            for utterance, prediction in shown
        ),
        f"{len(shown)} of {len(found)} test utterances: errors with the highest "
        "confidence, and correct predictions from the most to the least confident "
        "one. Probabilities are calibrated.",
        summary={
            "scores": {
                **evaluate(true, predicted),
                "utterances": len(found),
                "errors": sum(t != p for t, p in zip(true, predicted)),
            },
            "classes": corpus.classes,
            "confusion": confusion_cells(true, predicted, corpus.classes),
            "speakers": sorted({u.speaker for u, _ in shown} - {""}),
        },
    )
    return len(shown)


def choose_examples(
    found: list[tuple[Utterance, Prediction]], most: int
) -> list[tuple[Utterance, Prediction]]:
    """Return at most ``most`` utterances: errors, and as many correct predictions.

    Errors have the highest confidence. The correct predictions are spread evenly over
    the range of confidence, the most confident one first.
    """
    ranked = sorted(found, key=lambda pair: -pair[1].confidence)
    wrong = [pair for pair in ranked if pair[0].emotion != pair[1].label]
    correct = [pair for pair in ranked if pair[0].emotion == pair[1].label]
    half = max(most // 2, most - len(correct))
    wrong = wrong[:half]
    number = min(len(correct), most - len(wrong))
    places = np.linspace(0, len(correct) - 1, number).round().astype(int)
    return wrong + [correct[i] for i in places]
