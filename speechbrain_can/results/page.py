"""A page of predictions: one HTML file that plays, shows and explains."""

import base64
import io
from dataclasses import dataclass
from typing import List, Optional

import jinja2
import numpy as np
import soundfile
import torch

from speechbrain_can.files import atomic_write

COLUMNS = 400  # of a drawn waveform, more for a long one
COLUMNS_A_SECOND = 40
# MP3 knows few rates; 16 kHz holds what a model hears.
PAGE_RATE = 16000


@dataclass(frozen=True)
class PageEntry:
    """A recording on a page.

    Arguments
    ---------
    name : str
        Its heading.
    waveform : torch.Tensor
        Shape ``[samples]``, at ``PAGE_RATE`` Hz.
    predictions : list
        Of its utterances, in the order of time, as ``inference.prediction`` has
        them.
    true : str or None
        The emotion that people heard, where it is known.
    """

    name: str
    waveform: torch.Tensor
    predictions: List
    true: Optional[str] = None


def write_page(path, title, entries, note=""):
    """Writes a page that needs no other file and no network.

    Arguments
    ---------
    path : str or Path
        The HTML file.
    title : str
        Its heading.
    entries : iterable of PageEntry
        What is on it, in this order; one is held at a time.
    note : str
        A sentence below the heading.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speechbrain_can.results", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("page.html")
    with atomic_write(path) as stream:
        stream.writelines(
            template.generate(
                title=title, note=note, entries=map(_for_template, entries)
            )
        )


def _for_template(entry):
    duration = len(entry.waveform) / PAGE_RATE
    columns = max(COLUMNS, round(COLUMNS_A_SECOND * duration))
    return {
        "name": entry.name,
        "true": entry.true,
        "duration": duration,
        "audio": encode_audio(entry.waveform),
        "columns": columns,
        "outline": outline(entry.waveform, columns),
        "predictions": entry.predictions,
        "words": [
            _shown_word(p, w) for p in entry.predictions for w in p.words
        ],
    }


def _shown_word(prediction, word):
    """A word with the mean over heads of each modality, beside the highest."""
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


def encode_audio(waveform):
    """A data URI of MP3, 10 kB a second, or of WAV where a library has no MP3."""
    content = io.BytesIO()
    samples = waveform.clamp(-1, 1).numpy()
    kind, mime = ("MP3", "audio/mpeg")
    if kind not in soundfile.available_formats():
        kind, mime = ("WAV", "audio/wav")
    soundfile.write(content, samples, PAGE_RATE, format=kind)
    code = base64.b64encode(content.getvalue()).decode()
    return f"data:{mime};base64,{code}"


def outline(waveform, columns):
    """Points of an SVG polygon, ``columns`` wide; the peak reaches 1 or -1.

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
    # up is negative in SVG
    above = [f"{i},{0 - piece.max():.2f}" for i, piece in enumerate(pieces)]
    below = [f"{i},{0 - piece.min():.2f}" for i, piece in enumerate(pieces)]
    return " ".join([*above, *below[::-1]])
