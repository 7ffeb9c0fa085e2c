"""Evaluation of a model on another corpus."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
)

import pandas as pd
from tqdm import tqdm

from speechbrain_can.alignment.pipeline import GIVEN, FoundWords
from speechbrain_can.corpus.fold_lists import read_folds, split_fold
from speechbrain_can.corpus.labels import map_labels
from speechbrain_can.corpus.manifest import (
    Utterance,
    column_value,
    read_manifest,
    resolve_wav,
)
from speechbrain_can.corpus.prepared import check_unchanged, folds_path
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.inference.timeline import EncodedUtterance
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError, is_inside, read_json
from speechbrain_can.metrics.calibration import calibration_error
from speechbrain_can.metrics.metrics import evaluate, recalls
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import as_tensors
from speechbrain_can.runs.results import finished_folds, read_summary


@dataclass(frozen=True)
class TestSet:
    """Utterances of a prepared corpus whose labels are classes of a model.

    Arguments
    ---------
    utterances : list of Utterance
        The utterances to predict, with classes of the model as labels.
    others : list of Utterance
        Utterances with other labels, for models that normalize per speaker.
    emotions : list of str
        Classes of the model that the corpus has.
    labels : dict of str: str or None
        Class of each label of the corpus; None if it is skipped.
    skipped : dict of str: int
        Number of utterances of each skipped label.
    data_folder : str
        Value of ``$data_root``.
    """

    __test__ = False  # not a test class of pytest

    utterances: List[Utterance]
    others: List[Utterance]
    emotions: List[str]
    labels: Dict[str, Optional[str]]
    skipped: Dict[str, int]
    data_folder: str


def read_test_set(
    classes: Sequence[str],
    prepared_folder: Path,
    only: Collection[str] | None = None,
    allow_outside: bool = False,
    label_map: Mapping[str, str | None] | None = None,
) -> TestSet:
    """Read the utterances of a prepared corpus that a model with ``classes`` can predict.

    ``only`` restricts the IDs, and ``allow_outside`` permits audio outside the folder
    of the corpus. ``label_map`` replaces labels of the corpus; see ``map_labels``.
    Raises ``InputError`` if fewer than two emotions are in common, no utterance is
    left, the manifest has changed since preparation, or it names a file outside the
    folder of the corpus.
    """
    if (prepared_folder / "prepared" / "manifest.csv").exists():
        prepared_folder = prepared_folder / "prepared"
    if not (prepared_folder / "manifest.csv").exists():
        raise InputError(
            f"{prepared_folder} is not a prepared corpus: it has no manifest.csv. Run "
            "train.py --fold=none, and pass the folder prepared."
        )
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
    class_of = map_labels(
        description["classes"],
        classes,
        label_map,
        f"--map for {prepared_folder}",
    )
    emotions = [name for name in classes if name in class_of.values()]
    if len(emotions) < 2:
        raise InputError(
            f"the classes of the model ({', '.join(classes)}) and of "
            f"{description['corpus']} ({', '.join(description['classes'])}) have "
            "fewer than two emotions in common"
        )
    chosen, others = [], []
    for name, utterance in utterances.items():
        wanted = only is None or name in only
        emotion = class_of[utterance.emotion]
        if wanted and emotion is not None:
            chosen.append(replace(utterance, emotion=emotion))
        else:
            others.append(utterance)
    skipped = Counter(
        utterance.emotion
        for utterance in others
        if class_of[utterance.emotion] is None
        and (only is None or utterance.utterance_id in only)
    )
    if not chosen:
        raise InputError(f"{prepared_folder} contains no utterance to predict")
    return TestSet(chosen, others, emotions, class_of, skipped, data_folder)


def predict_test_set(
    recognizer: EmotionRecognizer,
    test_set: TestSet,
    change: Callable | None = None,
    numbers: Sequence[int] = (0,),
    draw: Callable | None = None,
) -> tuple[dict[int, pd.DataFrame], dict[str, str]]:
    """Predict a test set.

    The probabilities of emotions that the corpus does not have are masked. A model
    that normalizes per speaker uses all recordings of each speaker, including those
    with other labels.

    Arguments
    ---------
    recognizer : EmotionRecognizer
        The model.
    test_set : TestSet
        The utterances.
    change : callable or None
        Maps an utterance, its waveform and its ``FoundWords`` to a changed waveform
        and words; see ``robustness``.
    numbers : list of int
        Greatest numbers of other recordings of the same speaker that each recording
        is adapted to.
    draw : callable or None
        Maps the utterances of a speaker, the index of one, and a number to the
        indices of the recordings it is adapted to; needed for numbers above 0.

    Returns
    -------
    tables : dict of int: pandas.DataFrame
        Predictions for each number, with the columns of ``predictions.csv``.
    refused : dict of str: str
        The reason for each utterance without a prediction, by ID.

    Raises
    ------
    InputError
        If a number is above 0 and the model does not adapt to speakers.
    """
    if any(numbers) and not recognizer.adapts:
        raise InputError(
            "this model does not adapt to speakers. Leave out --unlabeled."
        )
    column = "speaker" if any(numbers) else recognizer.normalize_by
    chosen = {utterance.utterance_id for utterance in test_set.utterances}
    every = test_set.utterances
    if recognizer.normalize_by:
        every = [*every, *test_set.others]
    labels = {each.utterance_id: each.emotion for each in every}
    rows, refused = {number: [] for number in numbers}, {}
    for group in tqdm(group_by(every, column), unit="group", disable=None):
        encoded, problems = encode_group(
            recognizer, group, test_set.data_folder, change
        )
        refused.update(problems)
        kept = [each for each in group if each.utterance_id in encoded]
        for number in numbers:
            predictions = _predict_group(
                recognizer, kept, list(encoded.values()), number, draw
            )
            rows[number] += [
                [name, labels[name], *_masked(prediction, test_set.emotions)]
                for name, prediction in zip(encoded, predictions)
                if name in chosen
            ]
    columns = ["ID", "true", "predicted", *test_set.emotions]
    tables = {
        number: pd.DataFrame(own, columns=columns).sort_values("ID")
        for number, own in rows.items()
    }
    return tables, {k: v for k, v in refused.items() if k in chosen}


def tested_models(
    model: str, prepared_folder: Path, fold: tuple[str, int] | None
) -> list[tuple[str | Path, set[str] | None]]:
    """Return model folders with the IDs to test them on; None for all.

    ``model`` is a model folder or name, tested on ``fold`` (protocol and number), or
    the folder of a run. Raises ``InputError`` if the protocol is unknown.
    """
    run = RunLayout(Path(model))
    if not run.results.exists():
        if fold is None:
            return [(model, None)]
        return [(model, test_ids(prepared_folder, *fold))]
    protocol = read_summary(run)["protocol"]
    numbers = [result["fold"] for result in finished_folds(run)]
    if fold is not None:
        protocol, numbers = fold[0], [fold[1]]
    return [
        (run.fold(number).model, test_ids(prepared_folder, protocol, number))
        for number in numbers
    ]


def test_ids(prepared_folder: Path, protocol: str, fold: int) -> set[str]:
    """Return the IDs of the test set of a fold."""
    path = folds_path(prepared_folder, protocol)
    if not path.exists():
        known = (
            p.stem[6:] for p in sorted(prepared_folder.glob("folds_*.csv"))
        )
        raise InputError(
            f"{path} does not exist. The protocols are {', '.join(known)}."
        )
    check_unchanged(path)
    return set(split_fold(read_folds(path), fold)["test"])


test_ids.__test__ = False  # not a test of pytest


def _masked(
    prediction: Prediction, emotions: Sequence[str]
) -> list[str | float]:
    """Return the most probable of some emotions, and their probabilities."""
    found = [prediction.probabilities[name] for name in emotions]
    total = sum(found) or 1.0
    shares = [probability / total for probability in found]
    return [emotions[max(range(len(shares)), key=shares.__getitem__)], *shares]


def score_table(table: pd.DataFrame) -> dict[str, Any]:
    """Return the metrics of predictions, with ``recall`` per class and ``ECE``."""
    true, predicted = list(table["true"]), list(table["predicted"])
    log_probabilities, targets = as_tensors(table)
    return {
        **evaluate(true, predicted),
        "recall": recalls(true, predicted),
        "ECE": calibration_error(log_probabilities.exp(), targets),
    }


def as_tested(utterance: Utterance) -> FoundWords:
    """Return the words of a manifest row as found words."""
    return FoundWords(
        utterance.words, utterance.words[-1].end, utterance.aligned_by or GIVEN
    )


def group_by(
    utterances: list[Utterance], column: str | None
) -> list[list[Utterance]]:
    """Group utterances by a column; those without a value are groups of their own."""
    groups = {}
    for utterance in utterances:
        value = column_value(utterance, column) if column else ""
        key = (value, "" if value else utterance.utterance_id)
        groups.setdefault(key, []).append(utterance)
    return list(groups.values())


def encode_group(
    recognizer: EmotionRecognizer,
    utterances: list[Utterance],
    data_folder: str | Path,
    change: Callable | None = None,
) -> tuple[dict[str, EncodedUtterance], dict[str, str]]:
    """Return the features of utterances, and the reasons for those without, by ID."""
    waveforms, found, names, refused = [], [], [], {}
    for utterance in utterances:
        words = as_tested(utterance)
        try:
            waveform = read_waveform(
                resolve_wav(utterance, data_folder), recognizer.sample_rate
            )
            if change is not None:
                waveform, words = change(utterance, waveform, words)
        except InputError as error:
            refused[utterance.utterance_id] = str(error)
            continue
        waveforms.append(waveform)
        found.append(words)
        names.append(utterance.utterance_id)
    if not names:
        return {}, refused
    group = ["group"] * len(names)
    encoded = recognizer.encode(waveforms, found, group)
    return dict(zip(names, encoded)), refused


def _predict_group(
    recognizer: EmotionRecognizer,
    utterances: list[Utterance],
    encoded: list[EncodedUtterance],
    number: int,
    draw: Callable | None,
) -> list[Prediction]:
    """Predict the utterances of a speaker, adapted to ``number`` others."""
    if not number or not encoded:
        return [
            prediction
            for each in encoded
            for prediction in recognizer.classify_encoded([each], [None])
        ]
    evidence = recognizer.evidence(encoded)
    predictions = []
    for i, each in enumerate(encoded):
        others = draw(utterances, i, number)
        profiles = {}
        if others:
            drawn = [evidence[j] for j in others]
            recognizer.add_to_profile(profiles, "group", drawn)
        predictions += recognizer.classify_encoded(
            [each], ["group" if others else None], profiles, contained=False
        )
    return predictions
