"""Attention figures. Needs matplotlib (extra ``plots``)."""

from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speechbrain_can.corpus.manifest import Utterance

COLORS = {"text": "#1f77b4", "audio": "#d95f02"}
SYMBOLS = {"text": r"$\alpha^{(T)}$", "audio": r"$\alpha^{(A)}$"}


def plot_utterance(
    path: str | Path,
    utterance: Utterance,
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
    _plot_waveform(wave_axes, utterance, waveform, sample_rate, words)
    bounds = {"text": words, "audio": segments}
    for axes, (modality, weights) in zip(attention_axes, attention.items()):
        _plot_weights(axes, modality, weights, bounds[modality])
    for axes in (wave_axes, *attention_axes):
        for end in words[:-1, 1]:
            axes.axvline(end, color="0.8", linewidth=0.8, zorder=0)
    _plot_probabilities(right.subplots(), probabilities, utterance.emotion)
    figure.savefig(path, dpi=120)


def _plot_waveform(
    axes: Axes,
    utterance: Utterance,
    waveform: torch.Tensor,
    sample_rate: int,
    words: np.ndarray,
) -> None:
    """Plot the waveform, with the words ``[words, 2]`` below it."""
    times = np.arange(len(waveform)) / sample_rate
    axes.plot(times, waveform, color="0.4", linewidth=0.5)
    axes.set_title(f"{utterance.utterance_id}: label {utterance.emotion!r}")
    axes.set_yticks([])
    axes.set_xlim(0, utterance.duration)
    axes.set_xticks(
        words.mean(axis=1),
        [word.text for word in utterance.words],
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    # Place the words between the waveform and the bars.
    axes.tick_params(axis="x", length=0, labelbottom=True)


def _plot_weights(
    axes: Axes, modality: str, weights: Sequence[float], bounds: np.ndarray
) -> None:
    """Plot one bar per word with its attention weight."""
    axes.bar(
        bounds[:, 0],
        weights,
        width=np.diff(bounds)[:, 0],
        align="edge",
        color=COLORS[modality],
        edgecolor="white",
    )
    axes.set_ylabel(f"{SYMBOLS[modality]} ({modality})")
    axes.set_ylim(0, max(1e-3, *weights) * 1.1)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _plot_probabilities(
    axes: Axes, probabilities: dict[str, float], label: str
) -> None:
    """Plot one bar per emotion, the reference label in green."""
    bars = axes.barh(
        list(probabilities),
        list(probabilities.values()),
        color=["#2a9d4b" if name == label else "0.7" for name in probabilities],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.3)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.set_title("probability (reference label in green)")
