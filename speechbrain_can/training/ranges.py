"""Usual ranges of the recordings of a training set, which model folders contain."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.alignment.words import texts_of
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.corpus.prepared import RECORDINGS, Corpus, checksums
from speechbrain_can.features.quality import measure, usual_ranges
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import read_json, write_json
from speechbrain_can.lobes.text import vocabulary_of
from speechbrain_can.training.fold import Fold

MEASURES = "measures.json"


def training_ranges(fold: Fold) -> dict[str, tuple[float, float]]:
    """Return the usual ranges of the training set; see ``usual_ranges``.

    The share of unknown words is that of the validation set.
    """
    hparams, corpus = fold.hparams, fold.corpus
    measures = corpus_measures(
        Path(hparams["prepared_folder"]),
        corpus,
        hparams["compute_features"].sample_rate,
    )
    found = usual_ranges([measures[name] for name in fold.parts["train"]])
    if vocabulary_of(hparams["modules"]["model"]) is not None:
        known = set(corpus.words_of(fold.parts["train"]))
        shares = [
            {"unknown words": unknown_share(corpus.words_of([name]), known)}
            for name in fold.parts.get("valid", ())
        ]
        found |= usual_ranges(shares)
    return found


def unknown_share(words: list[str], known: set[str]) -> float:
    """Return the share of words that are not known."""
    return sum(word not in known for word in words) / len(words)


def corpus_measures(
    prepared_folder: Path, corpus: Corpus, sample_rate: int
) -> dict[str, dict[str, float]]:
    """Return the measures of all recordings by ID, computed once per corpus."""
    path = prepared_folder / MEASURES
    sums = checksums(prepared_folder)
    state = {
        "manifest": sums.get("manifest.csv"),
        "recordings": sums.get(RECORDINGS),
        "sample_rate": sample_rate,
    }

    def measured(utterance):
        wav = resolve_wav(utterance, corpus.data_folder)
        words = texts_of(utterance.words)
        return measure(read_waveform(wav, sample_rate), sample_rate, len(words))

    with FileLock(f"{path}.lock"):
        known = read_json(path) if path.exists() else {}
        if known.get("state") != state:
            utterances = corpus.utterances
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                values = tqdm(
                    pool.map(measured, utterances.values()),
                    total=len(utterances),
                    desc="measures",
                    unit="utterance",
                    disable=None,
                )
                known = {
                    "state": state,
                    "measures": dict(zip(utterances, values)),
                }
            write_json(path, known)
    return known["measures"]
