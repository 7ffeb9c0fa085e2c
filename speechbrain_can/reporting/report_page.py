"""The report: one HTML file of runs on the same folds."""

import base64

import jinja2
import pandas as pd

from speechbrain_can.corpus.folds import count_folds
from speechbrain_can.corpus.leakage import format_leaks
from speechbrain_can.corpus.sentences import sentence_of
from speechbrain_can.files import atomic_write
from speechbrain_can.reporting.figures import (
    plot_calibration,
    plot_curves,
    plot_folds,
)
from speechbrain_can.results.metrics import METRICS, confusion, recalls
from speechbrain_can.results.report import (
    SIGNIFICANT,
    build_report,
    format_intervals,
    name_of,
    report_tables,
)
from speechbrain_can.results.significance import summarise_systems

MISTAKES = 20  # of each system


def write_report_page(path, gathered, intervals, reference):
    """Writes a page that needs no other file and no network.

    Arguments
    ---------
    path : str or Path
        The HTML file.
    gathered : Gathered
        The runs.
    intervals : pandas.DataFrame
        As ``interval_table`` returns it.
    reference : str
        The system that others are set beside.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speechbrain_can.reporting", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("report.html")
    with atomic_write(path) as stream:
        stream.write(
            template.render(**page_content(gathered, intervals, reference))
        )


def page_content(gathered, intervals, reference):
    """What is on the page, by the names that its template has."""
    corpus, results = gathered.corpus, gathered.results
    report = build_report(summarise_systems(results, reference), corpus.name)
    label = name_of(reference)
    return {
        "title": f"{corpus.name}, {corpus.protocol}",
        "counts": {
            "utterances": len(corpus.folds),
            "classes": len(corpus.classes),
            "folds": count_folds(corpus.folds),
            "tested folds": results["fold"].nunique(),
            "seeds": ", ".join(map(str, sorted(results["seed"].unique()))),
        },
        "reference": label,
        "speakers": int(intervals["speakers"].max())
        if "speakers" in intervals
        else 0,
        "significant": SIGNIFICANT,
        "metrics": list(METRICS),
        "tables": report_tables(report, "html", label),
        "intervals": format_intervals(intervals, "html"),
        "leaks": format_leaks(gathered.leaks, "html"),
        "pictures": {
            "folds": _picture(plot_folds(results, intervals)),
            "curves": _picture(plot_curves(gathered.curves))
            if len(gathered.curves)
            else None,
            "calibration": _picture(
                plot_calibration(gathered.predictions, corpus.classes)
            ),
        },
        "systems": [_system(gathered, system) for system in gathered.systems],
        "classes": corpus.classes,
        "attention": _attention_rows(gathered.attention),
        "sources": gathered.sources,
        "environments": _environments(gathered.sources),
        "seconds": sum(source["seconds"] for source in gathered.sources),
    }


def _picture(svg):
    code = base64.b64encode(svg.encode()).decode()
    return f"data:image/svg+xml;base64,{code}"


def _system(gathered, system):
    """Confusions, recalls, calibration and mistakes of one system."""
    corpus = gathered.corpus
    own = gathered.predictions[gathered.predictions["system"] == system]
    counts = confusion(own["true"], own["predicted"], corpus.classes)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    calibration = gathered.calibration.loc[system]
    return {
        "name": system,
        "confusion": [
            {
                "true": true,
                "cells": [
                    {"share": shares.loc[true, name], "count": int(count)}
                    for name, count in row.items()
                ],
            }
            for true, row in counts.iterrows()
        ],
        "recalls": recalls(own["true"].tolist(), own["predicted"].tolist()),
        "calibration": {
            name: None if pd.isna(value) else value
            for name, value in calibration.items()
        },
        "mistakes": confident_mistakes(own, corpus),
    }


def confident_mistakes(predictions, corpus, most=MISTAKES):
    """The surest mistakes: what was said, what it is, and what was predicted.

    An utterance that several seeds mistake stands once, with the surest of them.
    """
    wrong = predictions[predictions["true"] != predictions["predicted"]]
    wrong = wrong.assign(
        confidence=wrong[corpus.classes].max(axis=1)
    ).sort_values(["confidence", "ID"], ascending=[False, True])
    return [
        {
            "ID": row["ID"],
            "said": sentence_of(corpus.utterances[row["ID"]]),
            "true": row["true"],
            "predicted": row["predicted"],
            "confidence": row["confidence"],
            "fold": row["fold"],
        }
        for _, row in wrong.drop_duplicates("ID").head(most).iterrows()
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


def _environments(sources):
    """Values of every run by name, where it is known what they ran on."""
    values = {}
    for source in sources:
        for name, value in source["environment"].items():
            values.setdefault(name, {}).setdefault(value)
    return {name: "; ".join(found) for name, found in values.items()}
