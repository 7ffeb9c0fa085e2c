"""Predictions as people read them and as programs do, a recording at a time.

Authors
 * The speechbrain-can developers 2026
"""

import csv
import json
from pathlib import Path

from tabulate import tabulate

from speechbrain_can.alignment.writers import save_textgrid
from speechbrain_can.audio import audio_duration
from speechbrain_can.files import as_text


class TableWriter:
    """A line an utterance: where, which emotion, how sure, what was said."""

    def __init__(self, stream, classes):
        self.stream = stream
        self.rows = []

    def add(self, predictions, name):
        """Takes the predictions of a recording."""
        for p in predictions:
            said = " ".join(word.text for word in p.words)
            sure = f"{100 * p.confidence:.0f}%"
            times = (f"{p.start:.1f}", f"{p.end:.1f}")
            self.rows.append((p.path, *times, p.label, sure, said))

    def close(self):
        """Writes the table, whose columns are as wide as their content."""
        headers = ["file", "start", "end", "emotion", "sure", "words"]
        table = tabulate(self.rows, headers=headers, disable_numparse=True)
        self.stream.write(table + "\n")


class JsonWriter:
    """All that is known of an utterance, a line of JSON each."""

    def __init__(self, stream, classes):
        self.stream = stream

    def add(self, predictions, name):
        """Writes the predictions of a recording."""
        for p in predictions:
            line = json.dumps(p.as_dict(), ensure_ascii=False)
            self.stream.write(line + "\n")
        self.stream.flush()

    def close(self):
        """Nothing is left to write."""


class CsvWriter:
    """A row an utterance, with the probability of every class."""

    def __init__(self, stream, classes):
        self.stream, self.classes = stream, classes
        self.writer = csv.writer(stream, lineterminator="\n")
        self.writer.writerow(
            [
                *("path", "start", "end", "emotion"),
                *map(as_text, classes),
                *("words", "aligned_by"),
            ]
        )

    def add(self, predictions, name):
        """Writes the predictions of a recording."""
        for p in predictions:
            self.writer.writerow(
                [
                    as_text(p.path),
                    f"{p.start:.3f}",
                    f"{p.end:.3f}",
                    as_text(p.label),
                    *(f"{p.probabilities[name]:.6f}" for name in self.classes),
                    as_text(" ".join(word.text for word in p.words)),
                    p.aligned_by,
                ]
            )
        self.stream.flush()

    def close(self):
        """Nothing is left to write."""


class TextGridWriter:
    """Praat's TextGrid, a file a recording: emotions, words and attention."""

    def __init__(self, folder, classes):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, predictions, name):
        """Writes ``<name>.TextGrid``."""
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
                    (w.start, w.end, f"{w.mean_attention[modality]:.3f}")
                    for w in attended
                ]
        duration = audio_duration(predictions[0].path)
        save_textgrid(self.folder / f"{name}.TextGrid", tiers, duration)

    def close(self):
        """Nothing is left to write."""


# By the name of the format; the last one writes to a folder, not a stream
WRITERS = {
    "table": TableWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
    "textgrid": TextGridWriter,
}
