"""The page of a fold: what its model says of the test set."""

from pathlib import Path

from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.folds import split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.files import InputError, read_json
from speechbrain_can.hparams import SETTINGS, read_settings
from speechbrain_can.inference.evaluation import (
    group_by_speaker,
    predict_group,
)
from speechbrain_can.inference.recognizer import load_recognizer
from speechbrain_can.reporting.gather import load_corpus
from speechbrain_can.results.folds import FOLD_RESULT
from speechbrain_can.results.page import PAGE_RATE, PageEntry, write_page
from speechbrain_can.training.model_folder import MODEL


def write_fold_page(path, fold_folder, most=60):
    """Writes the page of a fold, confident mistakes first.

    Arguments
    ---------
    path : str or Path
        The HTML file.
    fold_folder : str or Path
        A ``fold_<number>`` of a run; its corpus must be where it was.
    most : int
        Utterances on the page.

    Returns
    -------
    int
        Utterances on it.

    Raises
    ------
    InputError
        If the folder is not that of a finished fold.
    """
    fold_folder = Path(fold_folder)
    if not (fold_folder / MODEL / SETTINGS).exists():
        raise InputError(
            f"{fold_folder} has no model; give a folder fold_<number> of a "
            "finished run"
        )
    settings = read_settings(fold_folder / SETTINGS)
    manifest = read_json(fold_folder / FOLD_RESULT)["manifest"]
    _, corpus = load_corpus(fold_folder.absolute().parent, manifest)
    recognizer = load_recognizer(fold_folder / MODEL)
    tested = set(split_fold(corpus.folds, settings.fold)["test"])
    found = [
        (utterance, prediction)
        for group in group_by_speaker(
            corpus.utterances, tested, recognizer.normalize_by
        )
        for utterance, prediction in zip(
            group, predict_group(recognizer, group, corpus.data_folder)
        )
        if utterance.utterance_id in tested
    ]
    wrong = sum(u.emotion != p.label for u, p in found)
    # confident mistakes first, then what was hardly right
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
        f"{len(shown)} of {len(found)} test utterances. {wrong} are mistakes; "
        "they come first, the surest of them at the top, then what was right by "
        "the smallest margin. Probabilities are calibrated.",
    )
    return len(shown)
