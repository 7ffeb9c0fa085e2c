"""HTML page of predictions with audio, words and attention."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence

import numpy as np
import soundfile
import torch

from speechbrain_can.inference.prediction import Prediction
from speechbrain_can.report.pages import write_html

COLUMNS = 400  # minimum width of a plotted waveform
COLUMNS_PER_SECOND = 40

# MP3 supports few sample rates; 16 kHz is that of the models.
PAGE_RATE = 16000


@dataclass(frozen=True)
class PageEntry:
    """A recording on a page.

    Arguments
    ---------
    name : str
        Heading of the recording.
    waveform : torch.Tensor
        Samples at ``PAGE_RATE`` Hz, ``[samples]``.
    predictions : list of Prediction
        Predictions of its utterances in temporal order.
    true : str or None
        The reference label, if known.
    speaker : str
        Name of the speaker, if known.
    """

    name: str
    waveform: torch.Tensor
    predictions: List
    true: Optional[str] = None
    speaker: str = ""


def write_page(
    path: str | Path,
    title: str,
    entries: Iterable[PageEntry],
    note: str = "",
    summary: Optional[Dict] = None,
) -> None:
    """Write a self-contained HTML page that needs no network.

    Only one of ``entries`` is in memory at a time. ``note`` is a sentence below the
    heading. ``summary`` contains ``scores``, ``classes``, ``confusion`` and
    ``speakers`` of a test set; entries can then be filtered.
    """
    write_html(
        path,
        "predictions.html",
        title=title,
        note=note,
        summary=summary,
        entries=map(_for_template, entries),
    )


def _for_template(entry):
    duration = len(entry.waveform) / PAGE_RATE
    columns = max(COLUMNS, round(COLUMNS_PER_SECOND * duration))
    return {
        "name": entry.name,
        "true": entry.true,
        "speaker": entry.speaker,
        "emotions": emotions_over_time(entry.predictions),
        "duration": duration,
        "audio": encode_audio(entry.waveform),
        "columns": columns,
        "outline": outline(entry.waveform, columns),
        "predictions": entry.predictions,
        "words": [
            _shown_word(p, w) for p in entry.predictions for w in p.words
        ],
    }


def emotions_over_time(predictions: Sequence[Prediction]) -> list[dict]:
    """Return the time with each emotion, and its probabilities, if there are several.

    Emotions are sorted by the time for which they are predicted.
    """
    if len(predictions) < 2:
        return []
    rows = [
        {
            "name": name,
            "seconds": sum(
                p.end - p.start for p in predictions if p.label == name
            ),
            "spans": [
                (p.start, p.end, p.probabilities[name]) for p in predictions
            ],
        }
        for name in predictions[0].probabilities
    ]
    return sorted(rows, key=lambda row: -row["seconds"])


def _shown_word(prediction, word):
    """Return a word with its mean attention, absolute and relative to the highest."""
    means = word.mean_attention
    highest = {
        modality: max(w.mean_attention[modality] for w in prediction.words)
        for modality in means
    }
    return {
        "text": word.text,
        "start": word.start,
        "end": word.end,
        "means": means,
        "shares": {m: mean / highest[m] for m, mean in means.items()},
    }


def encode_audio(waveform: torch.Tensor) -> str:
    """Return a data URI with MP3 (10 kB/s), or WAV if libsndfile lacks MP3."""
    content = io.BytesIO()
    samples = waveform.clamp(-1, 1).numpy()
    kind, mime = ("MP3", "audio/mpeg")
    if kind not in soundfile.available_formats():
        kind, mime = ("WAV", "audio/wav")
    soundfile.write(content, samples, PAGE_RATE, format=kind)
    code = base64.b64encode(content.getvalue()).decode()
    return f"data:{mime};base64,{code}"


def outline(waveform: torch.Tensor, columns: int) -> str:
    """Return the points of an SVG polygon with ``columns`` columns and a peak of 1.

    Example
    -------
    >>> outline(torch.tensor([0.0, 0.2, -0.4, 0.1]), columns=2)
    '0,-0.50 1,-0.25 1,1.00 0,0.00'
    """
    bounds = np.linspace(0, len(waveform), columns + 1).astype(int)
    samples = (waveform / waveform.abs().max().clamp(min=1e-6)).numpy()
    pieces = [
        samples[start : max(end, start + 1)]
        for start, end in zip(bounds[:-1], bounds[1:])
    ]
    # The y axis of SVG points down.
    above = [f"{i},{0 - piece.max():.2f}" for i, piece in enumerate(pieces)]
    below = [f"{i},{0 - piece.min():.2f}" for i, piece in enumerate(pieces)]
    return " ".join([*above, *below[::-1]])
