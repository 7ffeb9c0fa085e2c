"""Attention figures. Needs matplotlib (extra ``plots``)."""

from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

COLORS = {"text": "#1f77b4", "audio": "#d95f02"}
SYMBOLS = {"text": r"$\alpha^{(T)}$", "audio": r"$\alpha^{(A)}$"}


def plot_utterance(
    path: str | Path,
    utterance,
    waveform: torch.Tensor,
    sample_rate: int,
    attention: dict[str, Sequence[float]],
    segments: np.ndarray,
    probabilities: dict[str, float],
) -> None:
    """Plot waveform, words, attention and class probabilities of an utterance."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[3, 1])
    wave_axes, *attention_axes = left.subplots(
        1 + len(attention),
        1,
        sharex=True,
        height_ratios=[2] + [1] * len(attention),
    )
    words = np.array([(word.start, word.end) for word in utterance.words])
    bounds = {"text": words, "audio": segments}

    times = np.arange(len(waveform)) / sample_rate
    wave_axes.plot(times, waveform, color="0.4", linewidth=0.5)
    wave_axes.set_title(
        f"{utterance.utterance_id}: label {utterance.emotion!r}"
    )
    wave_axes.set_yticks([])
    wave_axes.set_xlim(0, utterance.duration)
    wave_axes.set_xticks(
        words.mean(axis=1),
        [word.text for word in utterance.words],
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    # Place the words between the waveform and the bars.
    wave_axes.tick_params(axis="x", length=0, labelbottom=True)
    for axes, (modality, weights) in zip(attention_axes, attention.items()):
        axes.bar(
            bounds[modality][:, 0],
            weights,
            width=np.diff(bounds[modality])[:, 0],
            align="edge",
            color=COLORS[modality],
            edgecolor="white",
        )
        axes.set_ylabel(f"{SYMBOLS[modality]} ({modality})")
        axes.set_ylim(0, max(1e-3, *weights) * 1.1)
        axes.tick_params(axis="x", length=0, labelbottom=False)
    for axes in (wave_axes, *attention_axes):
        for end in words[:-1, 1]:
            axes.axvline(end, color="0.8", linewidth=0.8, zorder=0)

    axes = right.subplots()
    bars = axes.barh(
        list(probabilities),
        list(probabilities.values()),
        color=[
            "#2a9d4b" if name == utterance.emotion else "0.7"
            for name in probabilities
        ],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.3)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.set_title("probability (reference label in green)")
    figure.savefig(path, dpi=120)
