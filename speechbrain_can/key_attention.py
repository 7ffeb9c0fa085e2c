"""Does a model attend to the word that matters? On a controlled corpus one knows.

    python -m speechbrain_can.key_attention <corpus> <output_folder>

``plan.json`` of a controlled corpus (``speechbrain_can.embedded``) says which
word of an utterance is the key: the one that carries the emotion in the text,
and the cue in the audio. Of a finished run, the attention on that word is set
against chance, which is equal attention to every word.

Authors
 * The speechbrain-can developers 2026
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from tabulate import tabulate

from speechbrain_can.lobes.attention import Attention
from speechbrain_can.manifest import read_manifest
from speechbrain_can.results import ATTENTION_TABLE, read_attention


def key_attention(turns, utterances, attention):
    """The attention on the key word of each utterance, and chance.

    Arguments
    ---------
    turns : list of dict
        What ``plan.json`` holds: ``utt``, ``key``, ``words``.
    utterances : dict of str: Utterance
        The manifest.
    attention : dict of str: list of float
        The weights of the words of each utterance.

    Returns
    -------
    table : pandas.DataFrame
        A row an utterance: ``attention`` on the key word, ``chance`` (one by
        the number of words), and whether the key is the word with the most
        attention (``first``).
    others : int
        Utterances left out: of one word, or whose aligned words are not those
        of the plan.
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
        rows.append((weights[key], 1 / len(words), np.argmax(weights) == key))
    return pd.DataFrame(rows, columns=["attention", "chance", "first"]), others


def format_key_attention(tables):
    """The attention on the key word against chance, as text.

    Arguments
    ---------
    tables : dict of str: pandas.DataFrame
        What ``key_attention`` returns, by modality.

    Returns
    -------
    str
        A row a modality; the interval is that of a paired t-test.
    """
    rows = []
    for modality, table in tables.items():
        test = stats.ttest_rel(table["attention"], table["chance"])
        low, high = test.confidence_interval(0.95)
        rows.append(
            {
                "modality": modality,
                "utterances": len(table),
                "on the key word": f"{table['attention'].mean():.3f}",
                "chance": f"{table['chance'].mean():.3f}",
                "difference [95%]": f"{(low + high) / 2:+.3f} "
                f"[{low:+.3f}, {high:+.3f}]",
                "key is first": f"{table['first'].mean():.3f}",
            }
        )
    return tabulate(rows, headers="keys", tablefmt="github")


def main(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_can.key_attention",
        description="The attention of a run on the key words of a controlled "
        "corpus, against chance.",
    )
    parser.add_argument("corpus", type=Path, help="it has a plan.json")
    parser.add_argument(
        "output_folder", type=Path, help="a run: its folds' attention.csv"
    )
    parser.add_argument(
        "--prepared_folder",
        type=Path,
        help="the prepared corpus (default: prepared in the output_folder)",
    )
    options = parser.parse_args(arguments)
    paths = sorted(options.output_folder.glob(f"fold_*/{ATTENTION_TABLE}"))
    if not paths:
        parser.error(
            f"{options.output_folder} has no fold_*/{ATTENTION_TABLE}: no "
            "finished fold, or a model without word attention"
        )
    turns = json.loads((options.corpus / "plan.json").read_text("utf-8"))
    prepared = options.prepared_folder or options.output_folder / "prepared"
    utterances = read_manifest(prepared / "manifest.csv")
    tables = {}
    for modality in Attention._fields:
        attention = {}
        for path in paths:
            attention.update(read_attention(path, modality))
        if attention:
            tables[modality], others = key_attention(
                turns, utterances, attention
            )
    print(format_key_attention(tables))
    print(f"{others} utterances of one word or other words are left out")


if __name__ == "__main__":
    main()
