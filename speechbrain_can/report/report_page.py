"""HTML report of runs on the same folds."""

import base64
from pathlib import Path
from typing import Sequence

import pandas as pd

from speechbrain_can.corpus.fold_lists import count_folds
from speechbrain_can.corpus.leakage import format_leaks
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.corpus.sentences import sentence_of
from speechbrain_can.metrics.dimensions import evaluate_dimensions
from speechbrain_can.metrics.metrics import METRICS, recalls
from speechbrain_can.report.comparison import summarize_systems
from speechbrain_can.report.data import Gathered
from speechbrain_can.report.figures import (
    calibration_bins,
    plot_calibration,
    plot_curves,
    plot_dimensions,
    plot_folds,
    plot_rejection,
    rejection_of,
)
from speechbrain_can.report.groups import EXPLANATION, GroupTable
from speechbrain_can.report.pages import confusion_cells, write_html
from speechbrain_can.report.tables import (
    SIGNIFICANT,
    build_report,
    format_intervals,
    name_of,
    narrow_tables,
)

ERRORS = 20  # shown per system
FEW_FOLDS = 5  # fewer estimate the variation between folds badly


def write_report_page(
    path: str | Path,
    gathered: Gathered,
    intervals: pd.DataFrame,
    reference: str,
    groups: Sequence[GroupTable] = (),
) -> None:
    """Write a self-contained HTML report that needs no network.

    ``intervals`` is the result of ``interval_table``; ``reference`` is the system
    that others are compared with, and ``groups`` the result of ``group_tables``.
    """
    content = page_content(gathered, intervals, reference, groups)
    write_html(path, "report.html", **content)


def page_content(
    gathered: Gathered,
    intervals: pd.DataFrame,
    reference: str,
    groups: Sequence[GroupTable] = (),
) -> dict:
    """Return the variables of the template."""
    corpus, results = gathered.corpus, gathered.results
    report = build_report(summarize_systems(results, reference), corpus.name)
    label = name_of(reference)
    return {
        "title": f"{corpus.name}, {corpus.protocol}",
        "counts": {
            "utterances": len(corpus.folds),
            "classes": len(corpus.classes),
            "folds": count_folds(corpus.folds),
            "finished folds": results["fold"].nunique(),
            "seeds": ", ".join(map(str, sorted(results["seed"].unique()))),
        },
        "reference": label,
        "speakers": int(intervals["speakers"].max())
        if "speakers" in intervals
        else 0,
        "significant": SIGNIFICANT,
        "metrics": list(METRICS),
        "tables": narrow_tables(report, label),
        "few_folds": results["fold"].nunique() < FEW_FOLDS,
        "intervals": format_intervals(intervals, "html"),
        "leaks": format_leaks(gathered.leaks, "html"),
        "pictures": {
            "folds": _picture(plot_folds(results, intervals)),
            "curves": _picture(plot_curves(gathered.curves))
            if len(gathered.curves)
            else None,
            "calibration": _picture(
                plot_calibration(_with_calibrated(gathered), corpus.classes)
            ),
            "dimensions": _picture(
                plot_dimensions(
                    gathered.dimensions, names_of(gathered.dimensions)
                )
            )
            if len(gathered.dimensions)
            else None,
            "rejection": _picture(
                plot_rejection(gathered.predictions, corpus.classes)
            ),
        },
        "systems": [_system(gathered, system) for system in gathered.systems],
        "classes": corpus.classes,
        "dimensions": _dimension_rows(gathered),
        "coverage": [
            {k: None if pd.isna(v) else v for k, v in row.items()}
            for row in gathered.coverage.to_dict("records")
        ],
        "groups": [
            {
                "title": each.title,
                "table": each.format("html"),
                "summary": each.summary,
            }
            for each in groups
        ],
        "explanation": EXPLANATION,
        "attention": _attention_rows(gathered.attention),
        "heads": gathered.heads.to_dict("records"),
        "sources": gathered.sources,
        "environments": _environments(gathered.sources),
        "seconds": sum(source["seconds"] for source in gathered.sources),
    }


def _with_calibrated(
    gathered: Gathered, predictions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return predictions with the ``temperature`` of their fold; 1 if unknown."""
    keys = ["system", "seed", "fold"]
    if predictions is None:
        predictions = gathered.predictions
    known = gathered.results[[*keys, "temperature"]]
    merged = predictions.merge(known, on=keys, how="left")
    return merged.fillna({"temperature": 1.0})


def _picture(svg):
    code = base64.b64encode(svg.encode()).decode()
    return f"data:image/svg+xml;base64,{code}"


def _system(gathered: Gathered, system: str) -> dict:
    """Return confusion matrix, recalls, calibration and errors of a system."""
    corpus = gathered.corpus
    own = gathered.predictions[gathered.predictions["system"] == system]
    calibration = gathered.calibration.loc[system]
    return {
        "name": system,
        "confusion": confusion_cells(
            own["true"], own["predicted"], corpus.classes
        ),
        "recalls": recalls(own["true"].tolist(), own["predicted"].tolist()),
        "calibration": {
            name: None if pd.isna(value) else value
            for name, value in calibration.items()
        },
        "rejection": rejection_of(own, corpus.classes),
        "bins": calibration_bins(
            _with_calibrated(gathered, own), corpus.classes
        ),
        "errors": confident_errors(own, corpus),
    }


def confident_errors(
    predictions: pd.DataFrame, corpus: Corpus, most: int = ERRORS
) -> list[dict]:
    """Return the errors with the highest confidence, one per utterance."""
    wrong = predictions[predictions["true"] != predictions["predicted"]]
    wrong = wrong.assign(
        confidence=wrong[corpus.classes].max(axis=1)
    ).sort_values(["confidence", "ID"], ascending=[False, True])
    return [
        {
            "ID": row["ID"],
            "text": sentence_of(corpus.utterances[row["ID"]]),
            "true": row["true"],
            "predicted": row["predicted"],
            "confidence": row["confidence"],
            "fold": row["fold"],
        }
        for _, row in wrong.drop_duplicates("ID").head(most).iterrows()
    ]


def _dimension_rows(gathered: Gathered) -> list[dict]:
    """Return CCC and MSE of each system and dimension."""
    table = gathered.dimensions
    if not len(table):
        return []
    names = names_of(table)
    rows = []
    for system, own in table.groupby("system", sort=False):
        folds = [
            _evaluated(each, names) for _, each in own.groupby(["seed", "fold"])
        ]
        pooled = _evaluated(own, names)
        for name in names:
            scores = [fold[name]["CCC"] for fold in folds]
            scores = pd.Series(scores, dtype=float).dropna()
            if not len(scores):
                continue
            rows.append(
                {
                    "system": system,
                    "name": name,
                    "mean": scores.mean(),
                    "std": None if len(scores) < 2 else scores.std(),
                    "pooled": pooled[name]["CCC"],
                    "MSE": pooled[name]["MSE"],
                    "n": pooled[name]["n"],
                }
            )
    return rows


def _evaluated(table: pd.DataFrame, names: list[str]) -> dict:
    """Return the metrics of a table of dimensions."""
    columns = [f"predicted {name}" for name in names]
    return evaluate_dimensions(
        table[columns].to_numpy(), table[names].to_numpy(), names
    )


def names_of(dimensions: pd.DataFrame) -> list[str]:
    """Return the names of the dimensions of the gathered table."""
    return [
        name[len("predicted ") :]
        for name in dimensions.columns
        if name.startswith("predicted ")
    ]


def _attention_rows(attention):
    return [
        {
            "system": system,
            "modality": modality,
            **{
                name: None if pd.isna(value) else value
                for name, value in row.items()
            },
        }
        for (system, modality), row in attention.iterrows()
    ]


def _environments(sources: list[dict]) -> dict[str, str]:
    """Return the environments of all runs by name."""
    values = {}
    for source in sources:
        for name, value in source["environment"].items():
            values.setdefault(name, {}).setdefault(value)
    return {name: "; ".join(found) for name, found in values.items()}
