"""Evaluation of a model on another corpus."""

from collections import Counter
from pathlib import Path
from typing import Any, Collection

import pandas as pd
import torch
from tqdm import tqdm

from speechbrain_can.alignment.pipeline import GIVEN, FoundWords
from speechbrain_can.corpus.manifest import (
    Utterance,
    column_value,
    read_manifest,
    resolve_wav,
)
from speechbrain_can.corpus.prepared import check_unchanged
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError, is_inside, read_json
from speechbrain_can.metrics.metrics import evaluate, recalls


def predict_corpus(
    recognizer: EmotionRecognizer,
    prepared_folder: Path,
    only: Collection[str] | None = None,
    allow_outside: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predict the utterances of a prepared corpus whose labels the model knows.

    The model chooses among the emotions that both have in common; the probabilities
    of all others are masked. A model that normalizes per speaker uses all recordings
    of each speaker, including those with other labels. ``only`` restricts the IDs to
    predict, and ``allow_outside`` permits audio outside the folder of the corpus.

    Returns a table with the columns of ``predictions.csv``, and the metrics with
    ``recall`` per class, the common ``emotions``, and the number of ``skipped``
    utterances of each other emotion. Raises ``InputError`` if fewer
    than two emotions are in common, no utterance is left, the manifest has changed
    since preparation, or it names a file outside the folder of the corpus.
    """
    check_unchanged(prepared_folder / "manifest.csv")
    utterances = read_manifest(prepared_folder / "manifest.csv")
    description = read_json(prepared_folder / "corpus.json")
    data_folder = description["data_folder"]
    for name, utterance in utterances.items():
        wav = resolve_wav(utterance, data_folder)
        if not (allow_outside or is_inside(wav, data_folder)):
            raise InputError(
                f"{prepared_folder / 'manifest.csv'}: the audio of {name}, {wav}, "
                f"is outside {data_folder}. If this is intended, pass "
                "--allow-outside."
            )
    emotions = [
        name for name in recognizer.classes if name in description["classes"]
    ]
    if len(emotions) < 2:
        raise InputError(
            f"the classes of the model ({', '.join(recognizer.classes)}) and of "
            f"{description['corpus']} ({', '.join(description['classes'])}) have "
            "fewer than two emotions in common"
        )
    chosen = {
        name
        for name, utterance in utterances.items()
        if utterance.emotion in emotions and (only is None or name in only)
    }
    skipped = Counter(
        utterance.emotion
        for name, utterance in utterances.items()
        if utterance.emotion not in emotions and (only is None or name in only)
    )
    if not chosen:
        raise InputError(f"{prepared_folder} contains no utterance to predict")
    groups = group_by_speaker(utterances, chosen, recognizer.normalize_by)
    rows = []
    for group in tqdm(groups, unit="group", disable=None):
        predictions = predict_group(recognizer, group, data_folder)
        for utterance, prediction in zip(group, predictions):
            if utterance.utterance_id not in chosen:
                continue
            found = [prediction.probabilities[name] for name in emotions]
            total = sum(found) or 1.0
            share = [probability / total for probability in found]
            best = emotions[max(range(len(emotions)), key=share.__getitem__)]
            rows.append(
                [utterance.utterance_id, utterance.emotion, best, *share]
            )
    table = pd.DataFrame(rows, columns=["ID", "true", "predicted", *emotions])
    true, predicted = list(table["true"]), list(table["predicted"])
    result = {
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        "emotions": emotions,
        "skipped": skipped,
    }
    return table, result


def as_tested(utterance: Utterance) -> FoundWords:
    """Return the words of a manifest row as found words."""
    return FoundWords(
        utterance.words, utterance.words[-1].end, utterance.aligned_by or GIVEN
    )


def group_by_speaker(
    utterances: dict[str, Utterance],
    chosen: Collection[str],
    column: str | None,
) -> list[list[Utterance]]:
    """Group utterances by a column, or put each one in a group of its own."""
    groups = {}
    for name, utterance in utterances.items():
        group = column_value(utterance, column) if column else name
        groups.setdefault(group, []).append(utterance)
    return [
        group
        for group in groups.values()
        if any(utterance.utterance_id in chosen for utterance in group)
    ]


def predict_group(
    recognizer: EmotionRecognizer,
    utterances: list[Utterance],
    data_folder: str | Path,
) -> list[Prediction]:
    """Predict the utterances of one group in one batch."""
    waveforms = [
        read_waveform(
            resolve_wav(utterance, data_folder), recognizer.sample_rate
        )
        for utterance in utterances
    ]
    wavs = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return recognizer.classify_batch(
        wavs,
        lengths / wavs.shape[1],
        alignments=[as_tested(utterance) for utterance in utterances],
        speakers=["group"] * len(utterances),
    )
