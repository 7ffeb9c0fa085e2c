#!/usr/bin/env python3
"""Baseline: eGeMAPS of whole recordings and a linear SVM.

To run this, prepare the corpus first and do the following:

> python svm.py results/can/1234/prepared leave_one_speaker_out

The validation set of each fold selects C. Features are standardized with the
statistics of the training set, and classes are weighted by inverse frequency.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from speechbrain_can.corpus.fold_lists import count_folds, split_fold
from speechbrain_can.corpus.manifest import resolve_wav
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.features.egemaps import SegmentEgemaps
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.metrics.metrics import METRICS, evaluate

COMPLEXITIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def extract_features(corpus):
    """Return the eGeMAPS of each whole recording, by ID."""
    compute_features = SegmentEgemaps()
    features = {}
    for name, utterance in tqdm(corpus.utterances.items(), disable=None):
        waveform = read_waveform(
            resolve_wav(utterance, corpus.data_folder),
            compute_features.sample_rate,
        )
        whole = torch.tensor([[0.0, utterance.duration]])
        features[name] = compute_features(waveform, whole)[0][0].numpy()
    return features


def test_fold(corpus, features, fold):
    """Return the metrics of a fold, and the C that its validation set selected."""
    data = {
        part: (
            np.stack([features[name] for name in names]),
            [corpus.utterances[name].emotion for name in names],
        )
        for part, names in split_fold(corpus.folds, fold).items()
    }
    found = []
    for complexity in COMPLEXITIES:
        machine = make_pipeline(
            StandardScaler(),
            SVC(C=complexity, kernel="linear", class_weight="balanced"),
        ).fit(*data["train"])
        true, predicted = data["valid"][1], machine.predict(data["valid"][0])
        found.append(
            (evaluate(true, list(predicted))["UA"], complexity, machine)
        )
    _, complexity, machine = max(found, key=lambda entry: entry[0])
    predicted = machine.predict(data["test"][0])
    return {
        "fold": fold,
        **evaluate(data["test"][1], list(predicted)),
        "C": complexity,
    }


@click.command()
@click.argument("prepared", type=click.Path(exists=True, path_type=Path))
@click.argument("protocol")
def main(prepared, protocol):
    """Test eGeMAPS and an SVM on the folds of a prepared corpus."""
    corpus = Corpus.load(prepared, protocol)
    features = extract_features(corpus)
    folds = range(count_folds(corpus.folds))
    table = pd.DataFrame([test_fold(corpus, features, fold) for fold in folds])
    click.echo(table.to_string(index=False))
    for name in METRICS:
        click.echo(
            f"{name} {table[name].mean():.3f} +- {table[name].std():.3f}"
        )


if __name__ == "__main__":
    main()
