"""Attention to the key words of a controlled corpus.

    speechbrain-can key-attention <output_folder>

``plan.json`` of a controlled corpus (``controlled.generator``) names the key word of
each utterance, which carries the emotion in the text and the cue in the audio. The
attention to it is compared with uniform attention (chance), and with decoys, which
have an acoustic cue but no emotion in the text. The key word is often the longest
word, so utterances in which it is not are also reported separately.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from speechbrain_can.corpus.manifest import Utterance
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.significance import corrected_difference
from speechbrain_can.runs.layout import RunLayout
from speechbrain_can.runs.predictions import read_attention
from speechbrain_can.runs.results import check_tables, finished_folds
from speechbrain_can.settings.hparams import read_settings

WEIGHTS = ("key", "decoys", "longest", "chance")


def key_attention(
    turns: list[dict],
    utterances: dict[str, Utterance],
    attention: dict[str, list[float]],
) -> tuple[pd.DataFrame, int]:
    """Return the attention to the key word of each utterance and to other words.

    ``turns`` are the records of ``plan.json``, ``attention`` the weights of words by
    utterance ID. The table has one row per utterance with the weight of the
    ``key``, the mean of the ``decoys``, the ``longest`` word, and ``chance``. Also
    returns the number of skipped utterances, which have one word or other words
    than planned.
    """
    rows, others = [], 0
    for turn in turns:
        weights = attention.get(turn["utt"])
        if weights is None:
            continue
        words = [word.text for word in utterances[turn["utt"]].words]
        if len(words) < 2 or words != turn["words"]:
            others += 1
            continue
        key = turn["key"]
        decoys = [weights[int(i)] for i in turn["plan"] if int(i) != key]
        longest = max(range(len(words)), key=lambda i: len(words[i]))
        rows.append(
            {
                "key": weights[key],
                "decoys": np.mean(decoys) if decoys else np.nan,
                "longest": weights[longest],
                "chance": 1 / len(words),
                "is_longest": longest == key,
                "is_most_attended": int(np.argmax(weights)) == key,
            }
        )
    return pd.DataFrame(rows), others


def format_key_attention(
    tables: dict[str, list[pd.DataFrame]], test_share: float
) -> str:
    """Format the tables of ``key_attention``, a list of folds per modality.

    Values are means over folds of means over utterances. ``test_share`` is an
    argument of ``corrected_difference``, which computes the interval.
    """
    rows = []
    for modality, folds in tables.items():
        for name, part in {
            "all": folds,
            "key is not the longest": [
                fold[~fold["is_longest"].astype(bool)] for fold in folds
            ],
        }.items():
            means = pd.DataFrame(
                [fold[[*WEIGHTS, "is_most_attended"]].mean() for fold in part]
            )
            differences = means["key"] - means["chance"]
            cell = f"{differences.mean():+.3f}"
            if len(means) > 1:
                found = corrected_difference(differences, test_share)
                cell += f" [{found['low']:+.3f}, {found['high']:+.3f}]"
            rows.append(
                {
                    "attention": modality,
                    "utterances": f"{name}: {sum(map(len, part))}",
                    **{f"on {n}": f"{means[n].mean():.3f}" for n in WEIGHTS},
                    "key - chance [95% CI]": cell,
                    "key most attended": f"{means['is_most_attended'].mean():.3f}",
                }
            )
    text = tabulate(
        rows, headers="keys", tablefmt="github", disable_numparse=True
    )
    return text.replace("on chance", "chance   ")


def key_tables(
    run: RunLayout, corpus: Corpus
) -> tuple[dict[str, list[pd.DataFrame]] | None, int]:
    """Return the tables of ``key_attention`` for a run, by modality and fold.

    Also returns the number of skipped utterances. The tables are None if the
    corpus has no plan or the model no attention over words.
    """
    paths = _attention_tables(run)
    plan = Path(corpus.data_folder) / "plan.json"
    if not (paths and plan.exists()):
        return None, 0
    turns = json.loads(plan.read_text(encoding="utf-8"))
    settings = read_settings(run.settings).plain()
    # With equal segmentation, audio segments do not correspond to words.
    aligned = "aligned_segments" in settings["segment"].tag.value
    tables, left_out = {}, 0
    for modality in ("text", "audio") if aligned else ("text",):
        for path in paths:
            table, others = key_attention(
                turns, corpus.utterances, read_attention(path, modality)
            )
            if len(table):
                tables.setdefault(modality, []).append(table)
                left_out += others if modality == "text" else 0
    return tables or None, left_out


def _attention_tables(run: RunLayout) -> list[Path]:
    """Return the tables of attention of a run."""
    return [fold.attention for fold in run.folds() if fold.attention.exists()]


def describe_run(folder: str | Path) -> str:
    """Return the table of a finished run and the number of skipped utterances."""
    run = RunLayout(Path(folder))
    if not _attention_tables(run):
        raise InputError(
            f"{folder} contains no attention.csv of a fold: either no fold is "
            "finished, or the model has no attention over words"
        )
    check_tables(run)
    corpus = Corpus.of(read_settings(run.settings).plain())
    tables, left_out = key_tables(run, corpus)
    if tables is None:
        raise InputError(
            f"{corpus.data_folder} is not a controlled corpus: it has no plan.json "
            "that matches its utterances"
        )
    folds = finished_folds(run)
    test_share = np.mean([fold["n_test"] / fold["n_train"] for fold in folds])
    every = pd.concat(next(iter(tables.values())))
    return (
        f"{format_key_attention(tables, test_share)}\n"
        f"Skipped utterances (one word, or other words than planned): {left_out}\n"
        "Share of utterances whose key word is the longest word: "
        f"{every['is_longest'].mean():.3f}"
    )
