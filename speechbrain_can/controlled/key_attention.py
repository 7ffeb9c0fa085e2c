"""Does a model attend to the word that matters? On a controlled corpus one knows.

    python -m speechbrain_can key-attention <output_folder>

``plan.json`` of a controlled corpus (``controlled.generator``) says which
word of an utterance is the key: the one that carries the emotion in the text,
and the cue in the audio. Of a finished run, the attention on that word is set
against chance, which is equal attention to every word, and against the decoys,
whose cues are heard as well but which the text does not point to. Keys are often
the longest word: where they are not, length cannot tell."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from speechbrain_can.corpus.prepare import Corpus
from speechbrain_can.files import InputError
from speechbrain_can.hparams import SETTINGS, read_settings
from speechbrain_can.results.folds import (
    ATTENTION_TABLE,
    check_tables,
    finished_folds,
    read_attention,
)
from speechbrain_can.results.significance import corrected_difference

WEIGHTS = ("key", "decoys", "longest", "chance")


def key_attention(turns, utterances, attention):
    """The attention on the key word of each utterance, and what to expect.

    ``turns`` are those of ``plan.json``, ``attention`` the weights of the words by
    utterance. Returns a table with a row an utterance (the weight of the ``key``,
    the mean of its ``decoys``, that of the ``longest`` word, ``chance``) and the
    number of utterances left out: of one word, or with other words than planned.
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


def format_key_attention(tables, test_share):
    """The tables of ``key_attention``, a list of folds a modality, as text.

    Means over folds of the means over utterances; ``test_share`` is that of
    ``corrected_difference``, which gives the interval.
    """
    rows = []
    for modality, folds in tables.items():
        for name, part in {
            "all": folds,
            "longest is another": [
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
                    "key - chance [95%]": cell,
                    "key most attended": f"{means['is_most_attended'].mean():.3f}",
                }
            )
    text = tabulate(
        rows, headers="keys", tablefmt="github", disable_numparse=True
    )
    return text.replace("on chance", "chance   ")


def key_tables(folder, corpus):
    """The tables of ``key_attention``, a list of folds by modality, of a run.

    Returns them and the number of utterances left out; None and 0 where the
    corpus has no plan, or the model no attention on words.
    """
    folder = Path(folder)
    paths = sorted(folder.glob(f"fold_*/{ATTENTION_TABLE}"))
    plan = Path(corpus.data_folder) / "plan.json"
    if not (paths and plan.exists()):
        return None, 0
    turns = json.loads(plan.read_text(encoding="utf-8"))
    settings = read_settings(folder / SETTINGS).plain()
    # Equal segments of audio are not the words that the key is one of.
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


def describe_run(folder):
    """The table of a finished run, and what was left out, as text."""
    folder = Path(folder)
    if not any(folder.glob(f"fold_*/{ATTENTION_TABLE}")):
        raise InputError(
            f"{folder} has no fold_*/{ATTENTION_TABLE}: no finished fold, or "
            "a model without word attention"
        )
    check_tables(folder)
    settings = read_settings(folder / SETTINGS).plain()
    corpus = Corpus.load(
        settings["prepared_folder"], settings["preparation"]["protocol"]
    )
    tables, left_out = key_tables(folder, corpus)
    if tables is None:
        raise InputError(
            f"{corpus.data_folder} has no plan.json, or no utterance as in it: "
            "not a controlled corpus"
        )
    folds = finished_folds(folder)
    test_share = np.mean([fold["n_test"] / fold["n_train"] for fold in folds])
    every = pd.concat(next(iter(tables.values())))
    return (
        f"{format_key_attention(tables, test_share)}\n"
        f"Left out, of one word or with other words: {left_out} utterances\n"
        f"The longest word is the key in {every['is_longest'].mean():.3f}"
    )
