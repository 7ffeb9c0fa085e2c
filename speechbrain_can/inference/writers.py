"""Output formats of predictions: table, JSON, CSV, TextGrid."""

import csv
import json
from pathlib import Path

from tabulate import tabulate

from speechbrain_can.alignment.writers import save_textgrid
from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.io.audio import read_header
from speechbrain_can.io.files import as_text, printable


class TableWriter:
    """Table with one line per utterance, written to a stream."""

    def __init__(self, stream, classes, dimensions=()):
        self.stream, self.dimensions = stream, dimensions
        self.rows = []

    def add(self, predictions: list[Prediction], name: str) -> None:
        """Add the predictions of one recording."""
        for p in predictions:
            words = " ".join(word.text for word in p.words)
            confidence = f"{100 * p.confidence:.0f}%"
            times = (f"{p.start:.1f}", f"{p.end:.1f}")
            values = (f"{p.dimensions[name]:.2f}" for name in self.dimensions)
            row = (p.path, *times, p.decision, confidence, *values, words)
            self.rows.append(tuple(map(printable, row)))

    def close(self) -> None:
        """Write the table."""
        headers = [
            *("file", "start", "end", "emotion", "confidence"),
            *(*map(printable, self.dimensions), "words"),
        ]
        table = tabulate(self.rows, headers=headers, disable_numparse=True)
        self.stream.write(table + "\n")


class JsonWriter:
    """JSON lines with all fields of each utterance."""

    def __init__(self, stream, classes, dimensions=()):
        self.stream = stream

    def add(self, predictions: list[Prediction], name: str) -> None:
        """Write the predictions of one recording."""
        for p in predictions:
            # Other encodings do not contain all characters.
            unicode = "utf" in (self.stream.encoding or "utf").lower()
            line = json.dumps(p.as_dict(), ensure_ascii=not unicode)
            # the escapes are those of JSON
            self.stream.write(printable(line) + "\n")
        self.stream.flush()

    def close(self):
        """Do nothing; everything is written already."""


class CsvWriter:
    """CSV with one row per utterance and one column per class."""

    def __init__(self, stream, classes, dimensions=()):
        self.stream, self.classes = stream, classes
        self.dimensions = dimensions
        self.writer = csv.writer(stream, lineterminator="\n")
        self.writer.writerow(
            [
                *("path", "start", "end", "emotion"),
                *map(as_text, [*classes, *dimensions]),
                *("words", "aligned_by", "decision", "emotions", "warnings"),
            ]
        )

    def add(self, predictions: list[Prediction], name: str) -> None:
        """Write the predictions of one recording."""
        for p in predictions:
            self.writer.writerow(
                [
                    as_text(p.path),
                    f"{p.start:.3f}",
                    f"{p.end:.3f}",
                    as_text(p.label),
                    *(f"{p.probabilities[name]:.6f}" for name in self.classes),
                    *(f"{p.dimensions[name]:.4f}" for name in self.dimensions),
                    as_text(" ".join(word.text for word in p.words)),
                    p.aligned_by,
                    # as many as are left at the requested confidence
                    as_text(p.decision),
                    as_text("; ".join(p.emotions or ())),
                    as_text("; ".join(p.warnings)),
                ]
            )
        self.stream.flush()

    def close(self):
        """Do nothing; everything is written already."""


class TextGridWriter:
    """Praat TextGrid files, one per recording: emotions, words and attention."""

    def __init__(self, folder, classes, dimensions=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, predictions: list[Prediction], name: str) -> None:
        """Write ``<name>.TextGrid``."""
        words = [word for p in predictions for word in p.words]
        tiers = {
            "emotion": [
                (p.start, p.end, f"{p.decision} {p.confidence:.2f}")
                for p in predictions
            ],
            "words": [(word.start, word.end, word.text) for word in words],
        }
        for name in predictions[0].dimensions:
            tiers[name] = [
                (p.start, p.end, f"{p.dimensions[name]:.2f}")
                for p in predictions
            ]
        for modality in ("text", "audio"):
            attended = [word for word in words if modality in word.attention]
            if attended:
                tiers[f"{modality} attention"] = [
                    (w.start, w.end, f"{w.mean_attention[modality]:.3f}")
                    for w in attended
                ]
        # The tiers cover the whole recording, not only its utterances.
        duration = max(
            read_header(predictions[0].path).duration, predictions[-1].end
        )
        save_textgrid(self.folder / f"{name}.TextGrid", tiers, duration)

    def close(self):
        """Do nothing; everything is written already."""


# By format name; textgrid writes to a folder, the others to a stream
WRITERS = {
    "table": TableWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
    "textgrid": TextGridWriter,
}
