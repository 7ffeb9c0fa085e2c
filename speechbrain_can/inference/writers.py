"""Predictions as people read them and as programs do.

Authors
 * The speechbrain-can developers 2026
"""

import csv
import json

from tabulate import tabulate

from speechbrain_can.alignment.writers import save_textgrid


def as_table(predictions):
    """A line an utterance: where, which emotion, how sure, what was said."""
    return tabulate(
        [
            (
                p.path,
                f"{p.start:.1f}",
                f"{p.end:.1f}",
                p.label,
                f"{100 * p.confidence:.0f}%",
                " ".join(word.text for word in p.words),
            )
            for p in predictions
        ],
        headers=["file", "start", "end", "emotion", "sure", "words"],
        disable_numparse=True,
    )


def as_json_line(prediction):
    """All that is known of an utterance, in one line."""
    return json.dumps(prediction.as_dict(), ensure_ascii=False)


def write_csv(stream, predictions, classes):
    """A row an utterance, with the probability of every class."""
    writer = csv.writer(stream)
    writer.writerow(
        ["path", "start", "end", "emotion", *classes, "words", "aligned_by"]
    )
    for p in predictions:
        writer.writerow(
            [
                p.path,
                f"{p.start:.3f}",
                f"{p.end:.3f}",
                p.label,
                *(f"{p.probabilities[name]:.6f}" for name in classes),
                " ".join(word.text for word in p.words),
                p.aligned_by,
            ]
        )


def write_textgrid(path, predictions, duration):
    """Praat's TextGrid with tiers of emotions, words and attention."""
    words = [word for p in predictions for word in p.words]
    tiers = {
        "emotion": [
            (p.start, p.end, f"{p.label} {p.confidence:.2f}")
            for p in predictions
        ],
        "words": [(word.start, word.end, word.text) for word in words],
    }
    for modality in ("text", "audio"):
        attended = [word for word in words if modality in word.attention]
        if attended:
            tiers[f"attention of {modality}"] = [
                (word.start, word.end, f"{_mean(word.attention[modality]):.3f}")
                for word in attended
            ]
    save_textgrid(path, tiers, duration)


def _mean(weights):
    return sum(weights) / len(weights)
