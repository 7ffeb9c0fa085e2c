"""A model on a corpus that it was not made for.

Authors
 * The speechbrain-can developers 2026
"""

import pandas as pd
import torch
from tqdm import tqdm

from speechbrain_can.alignment.finding import GIVEN, FoundWords
from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.manifest import (
    column_value,
    read_manifest,
    resolve_wav,
)
from speechbrain_can.corpus.prepare import check_unchanged
from speechbrain_can.files import InputError, is_inside, read_json
from speechbrain_can.results.metrics import evaluate, recalls


def predict_corpus(recognizer, prepared_folder, only=None, allow_outside=False):
    """Predicts the utterances of a corpus whose emotions the model knows.

    It chooses among the emotions that both have; the probabilities of the others
    are left out. A model that normalises the recordings of each speaker hears
    all of them, those of other emotions too.

    Arguments
    ---------
    recognizer : EmotionRecognizer
        The model.
    prepared_folder : Path
        A prepared corpus; its words and times are taken as they are.
    only : collection of str or None
        IDs, where not all are wanted.
    allow_outside : bool
        Whether audio may lie outside the folder of the corpus.

    Returns
    -------
    table : pandas.DataFrame
        As ``predictions.csv``: ID, true, predicted, a probability an emotion.
    result : dict
        The metrics, ``recall``, and the ``emotions`` that both have.

    Raises
    ------
    InputError
        If they share no two emotions, no utterance is left, the manifest has
        changed since the corpus was prepared, or it names a file outside the
        folder of the corpus.
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
                f"lies outside {data_folder}; if that is right, give "
                "--allow-outside"
            )
    emotions = [
        name for name in recognizer.classes if name in description["classes"]
    ]
    if len(emotions) < 2:
        raise InputError(
            f"the model knows {', '.join(recognizer.classes)}, and "
            f"{description['corpus']} has {', '.join(description['classes'])}: "
            "they share no two"
        )
    chosen = {
        name
        for name, utterance in utterances.items()
        if utterance.emotion in emotions and (only is None or name in only)
    }
    if not chosen:
        raise InputError(f"{prepared_folder} has no utterance to test")
    groups = heard_together(utterances, chosen, recognizer.normalize_by)
    rows = []
    for group in tqdm(groups, unit="group", disable=None):
        predictions = predict_together(recognizer, group, data_folder)
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
    }
    return table, result


def as_tested(utterance):
    """The words of a row of the manifest, which end where the utterance does."""
    return FoundWords(
        utterance.words, utterance.words[-1].end, utterance.aligned_by or GIVEN
    )


def heard_together(utterances, chosen, column):
    """Utterances in groups: each alone, or with all others of its speaker."""
    groups = {}
    for name, utterance in utterances.items():
        group = column_value(utterance, column) if column else name
        groups.setdefault(group, []).append(utterance)
    return [
        group
        for group in groups.values()
        if any(utterance.utterance_id in chosen for utterance in group)
    ]


def predict_together(recognizer, utterances, data_folder):
    """Predictions of utterances of one group."""
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
