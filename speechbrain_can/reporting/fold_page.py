"""The page of a fold: what its model says of the test set.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

from speechbrain_can.alignment.finding import GIVEN, FoundWords
from speechbrain_can.audio import read_waveform
from speechbrain_can.corpus.folds import split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.files import InputError
from speechbrain_can.hparams import SETTINGS, read_settings
from speechbrain_can.inference.recognizer import load_recognizer
from speechbrain_can.reporting.gather import load_corpus
from speechbrain_can.results.page import PAGE_RATE, PageEntry, write_page
from speechbrain_can.training.model_folder import MODEL


def as_tested(utterance):
    """The words of a row of the manifest, which end where the utterance does."""
    return FoundWords(
        utterance.words, utterance.words[-1].end, utterance.aligned_by or GIVEN
    )


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
    corpus = load_corpus(fold_folder.parent)
    recognizer = load_recognizer(fold_folder / MODEL)
    found = []
    for utterance_id in split_fold(corpus.folds, settings.fold)["test"]:
        utterance = corpus.utterances[utterance_id]
        wav = resolve_wav(utterance, corpus.data_folder)
        found.append(
            (
                utterance,
                recognizer.classify_file(wav, alignment=as_tested(utterance)),
            )
        )
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
