"""A model on a corpus that it was not made for.

Authors
 * The speechbrain-can developers 2026
"""

import pandas as pd
from tqdm import tqdm

from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.files import InputError, read_json
from speechbrain_can.results.metrics import evaluate, recalls


def predict_corpus(recognizer, prepared_folder, only=None):
    """Predicts the utterances of a corpus whose emotions the model knows.

    It chooses among the emotions that both have; the probabilities of the others
    are left out.

    Arguments
    ---------
    recognizer : EmotionRecognizer
        The model.
    prepared_folder : Path
        A prepared corpus; its words and times are taken as they are.
    only : collection of str or None
        IDs, where not all are wanted.

    Returns
    -------
    table : pandas.DataFrame
        As ``predictions.csv``: ID, true, predicted, a probability an emotion.
    result : dict
        The metrics, ``recall``, and the ``emotions`` that both have.

    Raises
    ------
    InputError
        If they share no two emotions, or no utterance is left.
    """
    utterances = read_manifest(prepared_folder / "manifest.csv")
    description = read_json(prepared_folder / "corpus.json")
    emotions = [
        name for name in recognizer.classes if name in description["classes"]
    ]
    if len(emotions) < 2:
        raise InputError(
            f"the model knows {', '.join(recognizer.classes)}, and "
            f"{description['corpus']} has {', '.join(description['classes'])}: "
            "they share no two"
        )
    chosen = [
        utterance
        for utterance in utterances.values()
        if utterance.emotion in emotions
        and (only is None or utterance.utterance_id in only)
    ]
    if not chosen:
        raise InputError(f"{prepared_folder} has no utterance to test")
    rows = []
    for utterance in tqdm(chosen, unit="utterance", disable=None):
        prediction = recognizer.classify_file(
            resolve_wav(utterance, description["data_folder"]),
            alignment=utterance.words,
        )
        found = [prediction.probabilities[name] for name in emotions]
        total = sum(found) or 1.0
        share = [probability / total for probability in found]
        best = emotions[max(range(len(emotions)), key=share.__getitem__)]
        rows.append([utterance.utterance_id, utterance.emotion, best, *share])
    table = pd.DataFrame(rows, columns=["ID", "true", "predicted", *emotions])
    true, predicted = list(table["true"]), list(table["predicted"])
    result = {
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        "emotions": emotions,
    }
    return table, result
