"""Data of a report, collected from the folders of runs."""

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence

import numpy as np
import pandas as pd
import torch

from speechbrain_can.controlled.key_attention import key_tables
from speechbrain_can.corpus.leakage import find_leaks
from speechbrain_can.corpus.prepared import Corpus, folds_path, leaks_path
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.metrics.calibration import calibration_error
from speechbrain_can.metrics.conformal import coverage, emotion_sets, merged
from speechbrain_can.metrics.metrics import recall_over_chance
from speechbrain_can.runs.layout import RunLayout, find_runs
from speechbrain_can.runs.predictions import (
    as_tensors,
    conformal_scores,
    read_attention,
    read_dimensions,
    read_predictions,
)
from speechbrain_can.runs.results import (
    check_tables,
    finished_folds,
    read_provenance,
)
from speechbrain_can.runs.summary import (
    check_comparable,
    collect,
    load_predictions,
)
from speechbrain_can.settings.hparams import SETTINGS, read_settings

LEVELS = (0.8, 0.9)  # confidence of sets of emotions
VALIDATION, OTHER_FOLDS = "validation set", "test sets of the other folds"


@dataclass(frozen=True)
class Gathered:
    """Results of runs with one corpus and one protocol.

    Arguments
    ---------
    corpus : Corpus
        The corpus.
    results : pandas.DataFrame
        The result of ``collect``.
    predictions : pandas.DataFrame
        The result of ``load_predictions``.
    leaks : pandas.DataFrame
        The result of ``find_leaks``.
    curves : pandas.DataFrame
        Validation metric used for early stopping, one row per system, seed,
        fold and epoch; ``tested`` marks the tested epoch.
    attention : pandas.DataFrame
        Attention statistics, one row per system and modality with attention
        over words.
    calibration : pandas.DataFrame
        Calibration error of each system: ``ECE`` and ``ECE calibrated``, means
        over folds, and ``ECE pooled``, over all folds and seeds.
    coverage : pandas.DataFrame
        Results of sets of emotions, one row per system, level of ``LEVELS``, and
        utterances that they were calibrated on; see ``coverage``. ``unsupported`` counts
        the utterances of folds with too few scores for the level.
    heads : pandas.DataFrame
        UA of each classifier, over all folds and seeds, with ``chance`` and
        ``at chance``; see ``recall_over_chance``.
    dimensions : pandas.DataFrame
        Labels and predictions of emotional dimensions, of systems that have them, with
        ``system``, ``seed`` and ``fold``.
    sources : list of dict
        Settings, command, environment and duration of each run.
    """

    corpus: Corpus
    results: pd.DataFrame
    predictions: pd.DataFrame
    leaks: pd.DataFrame
    curves: pd.DataFrame
    attention: pd.DataFrame
    calibration: pd.DataFrame
    coverage: pd.DataFrame
    heads: pd.DataFrame
    dimensions: pd.DataFrame
    sources: List[Dict]

    @property
    def systems(self) -> List[str]:
        """Names of the systems."""
        return list(dict.fromkeys(self.results["system"]))


def gather(folders: Iterable[str | Path]) -> Gathered:
    """Collect everything that a report shows from folders of runs.

    Raises ``InputError`` if a folder contains no finished run, folds differ between
    runs, or the prepared corpus is missing.
    """
    runs = find_runs(folders)
    results = collect(runs)
    finished = set(zip(results["system"], results["seed"]))
    for system, seed, run in runs:
        if (system, seed) not in finished:
            raise InputError(
                f"{run.folder} has no finished fold. Finish it or exclude it."
            )
    check_comparable(results)
    for _, _, run in runs:
        check_tables(run)
    manifest = results["manifest"].iloc[0]
    described = [run for _, _, run in runs if run.settings.exists()]
    if not described:
        raise InputError(
            f"{runs[0][2].folder} has no {SETTINGS}. For an ensemble, also pass one of its "
            "runs."
        )
    prepared, corpus = load_corpus(described[0], manifest)
    predictions = load_predictions(results)
    return Gathered(
        corpus=corpus,
        results=results,
        predictions=predictions,
        leaks=_leaks(prepared, corpus),
        curves=_curves(runs),
        attention=_attention(runs, corpus),
        calibration=_calibration(runs, predictions, corpus.classes),
        coverage=_coverage(runs),
        heads=_heads(runs),
        dimensions=_dimensions(runs),
        sources=[_source(*run) for run in runs],
    )


def load_corpus(run: RunLayout, manifest: str) -> tuple[Path, Corpus]:
    """Load the prepared corpus of a run, also if both were moved.

    Also returns the prepared folder. Raises ``InputError`` if the corpus is missing
    or does not have the fingerprint ``manifest`` of the results.
    """
    hparams = read_settings(run.settings).plain()
    protocol = hparams["preparation"]["protocol"]
    places = [
        Path(hparams["prepared_folder"]),
        run.folder / "prepared",
        run.folder.parent.parent / "prepared",
    ]
    for place in places:
        if folds_path(place, protocol).exists():
            corpus = Corpus.load(place, protocol)
            if corpus.fingerprint == manifest:
                return place, corpus
    raise InputError(
        f"the prepared corpus of {run.folder} is missing or has changed. Searched "
        f"folders: {', '.join(map(str, places))}."
    )


def _leaks(prepared, corpus):
    path = leaks_path(prepared, corpus.protocol)
    known = read_json(path) if path.exists() else {}
    if known.get("manifest") == corpus.fingerprint:
        return pd.DataFrame(known["leaks"])
    return find_leaks(corpus.utterances, corpus.folds, corpus.data_folder)


def _curves(runs):
    rows = []
    for system, seed, run in runs:
        if not run.settings.exists():
            continue  # ensembles have no learning curve
        metric = read_settings(run.settings).plain()["stop_on"]
        for result in finished_folds(run):
            path = run.fold(result["fold"]).train_log
            for epoch, values in read_log(path) if path.exists() else ():
                rows.append(
                    {
                        "system": system,
                        "seed": seed,
                        "fold": result["fold"],
                        "epoch": epoch,
                        "metric": metric,
                        "value": values.get(f"valid {metric}", np.nan),
                        "tested": epoch == result.get("tested_epoch"),
                    }
                )
    return pd.DataFrame(rows)


def read_log(path: str | Path) -> list[tuple[int, dict[str, float]]]:
    """Return the epochs of a ``train_log.txt`` with their values by name.

    Example
    -------
    >>> path = getfixture("tmpdir") / "train_log.txt"
    >>> path.write("epoch: 1 - train loss: 2.0 - valid UA: 3.88e-01")
    >>> read_log(path)
    [(1, {'train loss': 2.0, 'valid UA': 0.388})]
    """
    found = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        epoch = re.match(r"epoch: (\d+)", line)
        if epoch:
            values = re.findall(
                r"((?:train|valid) [\w-]+): (-?[\d.]+(?:e[+-]?\d+)?)", line
            )
            found.append(
                (int(epoch[1]), {name: float(value) for name, value in values})
            )
    return found


def _attention(runs, corpus):
    rows = []
    for system, seed, run in runs:
        trained = run.settings.exists()
        keys, _ = key_tables(run, corpus) if trained else (None, 0)
        for modality in ("text", "audio"):
            entropies = [
                entropy(weights)
                for fold in run.folds()
                if fold.attention.exists()
                for weights in read_attention(fold.attention, modality).values()
                if len(weights) > 1
            ]
            if not entropies:
                continue
            row = {
                "system": system,
                "modality": modality,
                "entropy": np.mean(entropies),
            }
            if keys and modality in keys:
                table = pd.concat(keys[modality])
                row.update(table[["key", "decoys", "chance"]].mean())
            rows.append(row)
    if not rows:
        return pd.DataFrame(rows)
    return pd.DataFrame(rows).groupby(["system", "modality"]).mean()


def entropy(weights: Sequence[float]) -> float:
    """Return the normalized entropy of attention: 1 if uniform, 0 for one word.

    Example
    -------
    >>> round(entropy([0.25, 0.25, 0.25, 0.25]), 3), round(entropy([1, 0]), 3)
    (1.0, 0.0)
    """
    shares = np.asarray(weights, dtype=float)
    shares = shares[shares > 0] / shares.sum()
    return float(abs(np.sum(shares * np.log(shares))) / np.log(len(weights)))


def _calibration(runs, predictions, classes):
    rows = [
        {
            "system": system,
            **{name: result.get(name) for name in ("ECE", "ECE calibrated")},
        }
        for system, _, run in runs
        for result in finished_folds(run)
    ]
    found = pd.DataFrame(rows).groupby("system").mean()
    for system, own in predictions.groupby("system"):
        found.loc[system, "ECE pooled"] = calibration_error(
            torch.tensor(own[classes].to_numpy(dtype="float32")),
            torch.tensor([classes.index(name) for name in own["true"]]),
        )
    return found


def _coverage(runs):
    """Return the coverage of sets of emotions, over all folds and seeds."""
    found = {}
    for system, _, run in runs:
        valid, test = {}, {}
        for result in finished_folds(run):
            fold, number = run.fold(result["fold"]), result["fold"]
            temperature = result.get("temperature", 1.0)
            valid[number] = conformal_scores(
                read_predictions(fold.valid_predictions), temperature
            )
            table = read_predictions(fold.predictions)
            log_probabilities, _ = as_tensors(table)
            shares = (log_probabilities / temperature).softmax(dim=1).numpy()
            test[number] = (
                shares,
                list(table["true"]),
                conformal_scores(table, temperature),
            )
        for number, (shares, labels, _) in test.items():
            others = [own for k, (_, _, own) in test.items() if k != number]
            kinds = {VALIDATION: valid[number]}
            if len(others) > 1:
                kinds[OTHER_FOLDS] = merged(others)
            for (kind, scores), level in product(kinds.items(), LEVELS):
                key = system, kind, level
                sets, true, refused = found.setdefault(key, ([], [], []))
                try:
                    sets += emotion_sets(scores, shares, level)
                    true += labels
                except InputError:  # there are too few scores for the level
                    refused += labels
    rows = [
        {
            "system": system,
            "calibrated on": kind,
            "confidence": level,
            "n": len(true),
            "unsupported": len(refused),
            **(coverage(sets, true) if true else {}),
        }
        for (system, kind, level), (sets, true, refused) in sorted(
            found.items()
        )
    ]
    return pd.DataFrame(rows)


def _heads(runs):
    """Return the UA of each classifier of each system."""
    totals, seeds = {}, {}
    for system, _, run in runs:
        seeds[system] = seeds.get(system, 0) + 1
        for result in finished_folds(run):
            for name, own in result.get("heads", {}).items():
                pair = np.array([own["hits"], own["counts"]])
                key = system, name
                totals[key] = totals.get(key, 0) + pair
    rows = []
    for (system, name), total in totals.items():
        # The same utterances with several seeds are not independent.
        hits, counts = total / seeds[system]
        recall, chance, at_chance = recall_over_chance(hits, counts)
        rows.append(
            {
                "system": system,
                "classifier": name,
                "UA": recall,
                "chance": chance,
                "at chance": at_chance,
            }
        )
    return pd.DataFrame(rows)


def _dimensions(runs):
    """Return the dimensions of all systems that predict them."""
    tables = [
        read_dimensions(run.fold(result["fold"]).dimensions).assign(
            system=system, seed=seed, fold=result["fold"]
        )
        for system, seed, run in runs
        for result in finished_folds(run)
        if "dimensions" in result
    ]
    return pd.concat(tables) if tables else pd.DataFrame()


def _source(system, seed, run):
    found = [
        read_provenance(run.fold(result["fold"]))
        for result in finished_folds(run)
    ]
    return {
        "system": system,
        "seed": seed,
        "seconds": sum(fold.get("seconds", 0) for fold in found),
        "command": found[0].get("command"),
        "environment": _common_environment(found),
    }


def _common_environment(folds: list[dict]) -> Optional[Dict]:
    """Return the environment of all folds; differing values are listed."""
    values = {}
    for fold in folds:
        for name, value in fold.get("environment", {}).items():
            values.setdefault(name, {}).setdefault(str(value))
    return {name: ", ".join(found) for name, found in values.items()}
