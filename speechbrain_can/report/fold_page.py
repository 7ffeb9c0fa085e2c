"""HTML page of the test set of a fold."""

from pathlib import Path

from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.inference.evaluation import encode_group, group_by
from speechbrain_can.inference.loading import load_recognizer
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.report.data import load_corpus
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
    wrong = sum(u.emotion != p.label for u, p in found)
    # errors by decreasing confidence, then correct ones by increasing confidence
    found.sort(
        key=lambda pair: (
            pair[0].emotion == pair[1].label,
            -pair[1].confidence
            if pair[0].emotion != pair[1].label
            else pair[1].confidence,
        )
    )
    shown = found[:most]
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
            )
            for utterance, prediction in shown
        ),
        f"{len(shown)} of {len(found)} test utterances, {wrong} of them errors. "
        "Errors with the highest confidence come first, followed by correct "
        "predictions with the lowest confidence. Probabilities are calibrated.",
    )
    return len(shown)
