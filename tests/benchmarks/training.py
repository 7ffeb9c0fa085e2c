"""Preparation, cached features and an epoch of CAN by size of the corpus (groups 3 and 4).

    python training.py <utterances> <threads>

Data are prepared in one process and trained on in another one, to measure the peak memory
of each.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
from measure import (
    Effort,
    draw_lengths,
    draw_segments,
    in_process_of_its_own,
    peak_megabytes,
)

import speechbrain as sb
from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.alignment.words import Word
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.features.cache import FeatureCache
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.data import flat_batch, make_datasets

RATE = 16000
CLASSES = "ang exc hap sad fru sur neu".split()
HPARAMS = (
    Path(__file__).absolute().parents[2]
    / "recipes/IEMOCAP/multimodal_emotion_recognition/hparams/can.yaml"
)


class TimedBrain(EmotionBrain):
    """Brain that measures forward pass, loss and backward pass in an epoch."""

    model_seconds = 0.0

    def compute_forward(self, batch, stage):
        self.began = time.perf_counter()
        return super().compute_forward(batch, stage)

    def optimizers_step(self):
        self.model_seconds += time.perf_counter() - self.began
        super().optimizers_step()


def write_noise(folder, utterances):
    """Write noise with the durations of IEMOCAP and return its utterances."""
    word_counts, frame_counts = draw_lengths(utterances)
    noise = np.random.default_rng(0).normal(0, 0.1, 60 * RATE)
    noise = (noise * 2**15).astype(np.int16)
    found = []
    (folder / "wav").mkdir(parents=True)
    parts = np.split(frame_counts, np.cumsum(word_counts)[:-1])
    for i, counts in enumerate(parts):
        segments = draw_segments(counts).numpy()
        found.append(
            Utterance(
                utterance_id=f"u{i:05d}",
                duration=float(segments[-1, 1]),
                wav=f"{DATA_ROOT}/wav/u{i:05d}.wav",
                speaker=str(i % 10),
                session=str(i % 5),
                dialog="",
                scripted=False,
                emotion=CLASSES[i % len(CLASSES)],
                words=[
                    Word(f"w{(7 * i + j) % 3000}", float(a), float(b))
                    for j, (a, b) in enumerate(segments)
                ],
                transcription="",
            )
        )

    def write(utterance):
        samples = round(utterance.duration * RATE)
        repeated = np.resize(noise, samples)
        path = folder / "wav" / f"{utterance.utterance_id}.wav"
        soundfile.write(path, repeated, RATE)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, found))
    return found


def noise_source(utterances, folder):
    """Return the corpus of noise with the words that are already known."""
    words = {row.utterance_id: row.words for row in utterances}
    recordings = [
        LabeledRecording(
            utterance_id=row.utterance_id,
            wav=f"wav/{row.utterance_id}.wav",
            emotion=row.emotion,
            speaker=row.speaker,
            session=row.session,
        )
        for row in utterances
    ]

    def find_words(recording, duration):
        return FoundWords(words[recording.utterance_id], duration, ""), None

    return CorpusSource(
        "noise", folder, recordings, [], CLASSES, find_words=find_words
    )


def measure_data(utterances, threads, folder):
    """Prepare a corpus of noise and cache its features.

    Returns seconds, cores and megabytes.
    """
    torch.set_num_threads(threads)
    written = write_noise(folder, utterances)
    hours = sum(utterance.duration for utterance in written) / 3600
    with Effort() as preparation:
        prepare_corpus(
            noise_source(written, folder),
            folder / "prepared",
            protocol="random10",
            fold_seed=0,
        )
    corpus = Corpus.load(folder / "prepared", "random10")
    hparams = hparams_in(folder)
    with Effort() as features:
        store_of(corpus, hparams, folder, hparams["feature_workers"])
    return {
        "utterances": utterances,
        "hours": hours,
        "preparation": preparation.wall,
        "preparation cores": preparation.cores,
        "features": features.wall,
        "features cores": features.cores,
        "megabytes of data": peak_megabytes(),
    }


def hparams_in(folder):
    """Return the objects of CAN's hparams file."""
    overrides = {"output_folder": str(folder), "data_folder": "x", "fold": 0}
    return read_settings(HPARAMS, overrides).build()


def store_of(corpus, hparams, folder, workers=0):
    """Open the features of a corpus; compute missing ones."""
    return FeatureCache.build(
        folder / "features",
        corpus.utterances,
        corpus.data_folder,
        hparams["compute_features"],
        hparams["segment"],
        workers,
    )


def brain_of(hparams, device="cpu", precision="fp32"):
    """Return a Brain that trains the modules of CAN."""
    return TimedBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts={
            "noprogressbar": True,
            "device": device,
            "precision": precision,
        },
        checkpointer=hparams["checkpointer"],
    )


def measure_training(
    threads, folder, device="cpu", precision="fp32", workers=0
):
    """Train one epoch on the data that ``measure_data`` wrote.

    Returns seconds and megabytes.
    """
    torch.set_num_threads(threads)
    corpus = Corpus.load(folder / "prepared", "random10")
    hparams = hparams_in(folder)
    store = store_of(corpus, hparams, folder)
    everything = {"train": list(corpus.utterances)}
    hparams["modules"]["normalize"].set_statistics(
        *store.statistics(everything["train"])
    )
    hparams["modules"]["model"].fit_vocabulary(
        corpus.words_of(everything["train"])
    )
    label_encoder = sb.dataio.encoder.CategoricalEncoder()
    label_encoder.update_from_iterable(CLASSES)
    label_encoder.expect_len(len(CLASSES))
    dataset = make_datasets(
        corpus.utterances, everything, store, label_encoder
    )["train"]
    before = peak_megabytes()
    brain = brain_of(hparams, device, precision)
    started = time.perf_counter()
    brain.fit(
        range(1, 2),
        dataset,
        train_loader_kwargs={
            "batch_size": hparams["batch_size"],
            "collate_fn": flat_batch,
            "shuffle": True,
            "num_workers": workers,
            "pin_memory": brain.device_type == "cuda",
        },
    )
    return {
        "epoch": time.perf_counter() - started,
        "model": brain.model_seconds,
        "megabytes before": before,
        "megabytes": peak_megabytes(),
    }


def measure(utterances, threads, folder):
    """Measure data and training, each in its own process."""
    script = Path(__file__)
    return {
        **in_process_of_its_own(script, utterances, threads, folder),
        **in_process_of_its_own(script, 0, threads, folder),
    }


if __name__ == "__main__":
    size, threads, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if not place:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(size, threads, Path(scratch))
    elif size:
        found = measure_data(size, threads, Path(place[0]))
    else:
        found = measure_training(threads, Path(place[0]))
    print(json.dumps(found))
