"""Figures of a report, as SVG. Needs matplotlib (extra ``plots``)."""

import io
from typing import Callable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve

from speechbrain_can.metrics.calibration import BINS
from speechbrain_can.metrics.conformal import rejection_curve
from speechbrain_can.metrics.metrics import METRICS

# Colors of Okabe and Ito, distinguishable without color vision
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#8c8c8c"
COLUMNS = 3  # of small plots
DECILES = 10


def plot_folds(results: pd.DataFrame, intervals: pd.DataFrame) -> str:
    """Plot the scores of folds, their total, and its interval over utterances, as SVG."""
    systems = list(intervals.index)
    figure = Figure(
        figsize=(10, 1.2 + 0.42 * len(systems)), layout="constrained"
    )
    for axes, metric in zip(
        figure.subplots(1, len(METRICS), sharey=True), METRICS
    ):
        for height, system in enumerate(systems):
            values = results.loc[results["system"] == system, metric]
            # avoid overlap of equal values
            jitter = (
                np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else 0
            )
            axes.scatter(
                values,
                height + jitter,
                s=14,
                color=GREY,
                alpha=0.7,
                linewidths=0,
            )
            row = intervals.loc[system]
            axes.plot(
                [
                    row[f"{metric} low over utterances"],
                    row[f"{metric} high over utterances"],
                ],
                [height, height],
                color=BLUE,
                linewidth=2.5,
                alpha=0.8,
            )
            axes.scatter(
                row[metric], height, marker="D", s=34, color=BLUE, zorder=3
            )
        axes.set_title(metric)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    figure.axes[0].set_yticks(range(len(systems)), systems)
    figure.axes[0].invert_yaxis()
    return _svg(figure)


def plot_curves(curves: pd.DataFrame) -> str:
    """Plot the validation metric by epoch for all folds and seeds, as SVG."""

    def draw(axes, own):
        for _, run in own.groupby(["seed", "fold"]):
            axes.plot(
                run["epoch"], run["value"], color=BLUE, alpha=0.45, linewidth=1
            )
            tested = run[run["tested"]]
            axes.scatter(
                tested["epoch"], tested["value"], s=16, color=ORANGE, zorder=3
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {own['metric'].iloc[0]}")

    return _svg(_small_plots(curves, draw))


def plot_calibration(predictions: pd.DataFrame, classes: Sequence[str]) -> str:
    """Plot reliability diagrams, one per system, as SVG.

    ``predictions`` contain the ``temperature`` of their fold.
    """

    def draw(axes, own):
        right = own["true"] == own["predicted"]
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        for confidence, color, label in (
            (own[list(classes)].max(axis=1), BLUE, "uncalibrated"),
            (calibrated(own, classes).max(axis=1), ORANGE, "calibrated"),
        ):
            accuracy, mean = calibration_curve(
                right, confidence.clip(0, 1), n_bins=BINS
            )
            axes.plot(
                mean,
                accuracy,
                marker="o",
                color=color,
                markersize=4,
                label=label,
            )
        axes.legend(fontsize=7, frameon=False)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("accuracy")

    return _svg(_small_plots(predictions, draw))


def plot_rejection(predictions: pd.DataFrame, classes: Sequence[str]) -> str:
    """Plot the accuracy of the utterances that are not rejected, as SVG."""

    def draw(axes, own):
        curve = rejection_of(own, classes)
        share, accuracy, _ = zip(*curve)
        axes.plot(share, accuracy, marker="o", color=BLUE, markersize=4)
        axes.set_xlim(0, 1)
        axes.set_ylim(top=1.02)
        axes.set_xlabel("share of rejected utterances")
        axes.set_ylabel("accuracy of the others")

    return _svg(_small_plots(predictions, draw))


def rejection_of(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> list[tuple[float, float, float]]:
    """Return the rejection curve of a table of predictions."""
    return rejection_curve(
        predictions[list(classes)].max(axis=1).to_numpy(),
        (predictions["true"] == predictions["predicted"]).to_numpy(),
    )


def calibrated(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the probabilities of predictions after temperature scaling."""
    logs = np.log(predictions[list(classes)].clip(lower=1e-7))
    scaled = np.exp(logs.div(predictions["temperature"], axis=0))
    return scaled.div(scaled.sum(axis=1), axis=0)


def calibration_bins(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> list[dict]:
    """Return number, mean probability and accuracy by range of calibrated probability."""
    confidence = calibrated(predictions, classes).max(axis=1)
    edges = np.linspace(0, 1, DECILES + 1)
    right = predictions["true"] == predictions["predicted"]
    bins = pd.cut(confidence, edges, include_lowest=True)
    table = pd.DataFrame({"probability": confidence, "accuracy": right})
    means = table.groupby(bins, observed=True).mean()
    counts = bins.value_counts()
    return [
        {
            "low": max(0.0, interval.left),
            "high": interval.right,
            "n": int(counts[interval]),
            **row,
        }
        for interval, row in means.to_dict("index").items()
    ]


def plot_dimensions(dimensions: pd.DataFrame, names: Sequence[str]) -> str:
    """Plot labels by predictions, for all systems and dimensions, as SVG.

    Gray: utterances. Blue: mean label of utterances with similar predictions.
    """
    tables = []
    for name in names:
        for system, own in dimensions.groupby("system", sort=False):
            own = own[["system", name, f"predicted {name}"]].dropna()
            own.columns = ["system", "label", "prediction"]
            tables.append(own.assign(system=f"{system}: {name}"))

    def draw(axes, own):
        axes.scatter(
            own["prediction"], own["label"], s=6, color=GREY, alpha=0.4
        )
        ends = own["label"].min(), own["label"].max()
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        groups = pd.qcut(own["prediction"], DECILES, duplicates="drop")
        means = own.groupby(groups, observed=True)[["prediction", "label"]]
        means = means.mean()
        axes.plot(
            means["prediction"],
            means["label"],
            marker="o",
            color=BLUE,
            markersize=4,
        )
        axes.set_xlabel("prediction")
        axes.set_ylabel("label")

    return _svg(_small_plots(pd.concat(tables), draw))


def _small_plots(table: pd.DataFrame, draw: Callable) -> Figure:
    """Return a figure with one plot per system, on shared axes."""
    systems = list(dict.fromkeys(table["system"]))
    columns = min(COLUMNS, len(systems))
    rows = -(-len(systems) // columns)
    figure = Figure(
        figsize=(3.4 * columns, 2.7 * rows + 0.2), layout="constrained"
    )
    grid = figure.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False
    ).flat
    for axes, system in zip(grid, systems):
        draw(axes, table[table["system"] == system])
        axes.set_title(system)
        axes.label_outer()
    for axes in list(grid)[len(systems) :]:
        axes.set_visible(False)
    return figure


def _svg(figure: Figure) -> str:
    """Return a figure as SVG that does not vary between runs."""
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "speechbrain_can"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
