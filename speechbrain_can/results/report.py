"""The tables of a comparison: the paper's Tables 2 to 4 with our results.

Every system is set beside another one, CAN where it is there, on the same folds
and seeds."""

import math
import re

import pandas as pd
from tabulate import tabulate

from speechbrain_can.files import InputError, as_text, atomic_write
from speechbrain_can.results.intervals import bootstrap_intervals
from speechbrain_can.results.metrics import METRICS, evaluate
from speechbrain_can.results.paper import (
    PAPER,
    PAPER_CORPUS,
    REFERENCE,
    Published,
)
from speechbrain_can.results.significance import summarise_systems

NOTHING = "-"
OTHERS = "Other systems"
SIGNIFICANT = 0.05


def build_report(summary, corpus_name):
    """The paper's tables in its own order, systems of one's own after them."""
    published = {key for rows in PAPER.values() for key in rows}
    others = {
        system: Published(system)
        for system in summary.index
        if system not in published
    }
    values = summary.to_dict("index")
    rows = []
    for table, systems in {**PAPER, OTHERS: others}.items():
        present = [system for system in systems if system in summary.index]
        # a table of CAN alone compares nothing
        if set(present) <= {REFERENCE} and table != next(iter(PAPER)):
            continue
        for system in present:
            row = {
                "table": table,
                "model": systems[system].name,
                "hparams": f"{system}.yaml",
                **values[system],
            }
            if corpus_name == PAPER_CORPUS:
                for metric, (mean, std) in systems[system].values().items():
                    row[f"paper's {metric} mean"] = mean
                    row[f"paper's {metric} std"] = std
            rows.append(row)
    return pd.DataFrame(rows)


def format_report(report, title, table_format, reference="CAN"):
    """The report as text, in a format of tabulate's: a table for each table."""
    latex = table_format.startswith("latex")
    parts = [title if not latex else f"% {title}"]
    for heading, text in report_tables(report, table_format, reference).items():
        if latex:
            text = text.replace("±", r"$\pm$")
        parts.append(
            f"% {heading}\n{text}" if latex else f"{heading}\n\n{text}"
        )
    return "\n\n".join(parts) + "\n"


def escaped(text, table_format):
    """What people called something, for a table: tabulate escapes LaTeX and HTML.

    Example
    -------
    >>> print(escaped("a|<b>", "github"))
    a\\|&lt;b>
    """
    text = " ".join(str(text).split())
    if table_format == "github":
        # an underscore within a word is none of Markdown's
        text = re.sub(r"([\\`*~\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", text)
        return text.replace("&", "&amp;").replace("<", "&lt;")
    return text


def report_tables(report, table_format, reference="CAN"):
    """The report's tables by their headings, in a format of tabulate's."""
    compared = report["hparams"].nunique() > 1
    return {
        heading: tabulate(
            _cells(rows, reference if compared else None, table_format),
            headers="keys",
            tablefmt=table_format,
            showindex=False,
            disable_numparse=True,
        )
        for heading, rows in report.groupby("table", sort=False)
    }


def _cells(rows, reference, table_format):
    """What is shown of the rows of a table; ``reference`` None: no differences."""
    rows = rows.assign(
        **{
            name: [escaped(cell, table_format) for cell in rows[name]]
            for name in ("model", "hparams")
        }
    )
    cells = pd.DataFrame(
        {
            "model": rows["model"],
            "hparams": rows["hparams"],
            "folds": _counts(rows),
        }
    )
    for metric in METRICS:
        cells[metric] = _with_std(rows, metric)
    for metric in METRICS if reference else ():
        header = f"{metric} - {escaped(reference, table_format)}'s [95%]"
        cells[header] = _with_interval(rows, metric)
    for metric in METRICS:
        if f"paper's {metric} mean" in rows:
            header = f"paper's {metric} (IEMOCAP, random10, 7 classes)"
            cells[header] = _with_std(rows, f"paper's {metric}")
    return cells


def _counts(rows):
    """Folds, and seeds where there are several."""
    return [
        f"{folds}" + (f" x {seeds} seeds" if seeds > 1 else "")
        for folds, seeds in zip(rows["folds"], rows["seeds"])
    ]


def _with_std(rows, name):
    return [
        _number(mean) if pd.isna(std) else f"{_number(mean)} ± {_number(std)}"
        for mean, std in zip(rows[f"{name} mean"], rows[f"{name} std"])
    ]


def _with_interval(rows, metric):
    """Difference, interval where there are folds enough, and a star."""
    names = [f"{metric} {name}" for name in ("difference", "low", "high", "p")]
    cells = []
    for difference, low, high, p in rows.reindex(columns=names).to_numpy(float):
        cell = _number(difference, sign=True)
        if not pd.isna(low):
            cell += f" [{_number(low, True)}, {_number(high, True)}]"
        cells.append(cell + ("*" if p < SIGNIFICANT else ""))
    return cells


def _number(value, sign=False):
    """Three digits as the field writes shares: .579"""
    if pd.isna(value):
        return NOTHING
    return f"{value:{'+' if sign else ''}.3f}".replace("0.", ".", 1)


def interval_table(predictions, speakers=None):
    """Metrics of all folds and seeds together, with bootstrap intervals.

    Arguments
    ---------
    predictions : pandas.DataFrame
        What ``load_predictions`` returns.
    speakers : dict of str: str or None
        The speaker of each utterance; without them, utterances alone are drawn.

    Returns
    -------
    pandas.DataFrame
        A row a system: ``<metric>``, the ends ``<metric> low`` and ``high``
        over ``utterances`` and ``speakers``, and the number of ``speakers``.
    """
    known = speakers and all(
        speakers.get(i) for i in predictions["ID"].unique()
    )
    if known:
        predictions = predictions.assign(
            speaker=predictions["ID"].map(speakers)
        )
    units = {"utterances": "ID", **({"speakers": "speaker"} if known else {})}
    by_system = dict(list(predictions.groupby("system", sort=False)))
    rows = {}
    for system, own in by_system.items():
        row = evaluate(own["true"].tolist(), own["predicted"].tolist())
        for name, unit in units.items():
            row[name] = own[unit].nunique()
            for metric, ends in bootstrap_intervals(own, unit).items():
                low, high = ends or (math.nan, math.nan)
                row[f"{metric} low over {name}"] = low
                row[f"{metric} high over {name}"] = high
        rows[system] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def format_intervals(intervals, table_format):
    """The table of ``interval_table`` as text."""
    rows = []
    for system, row in intervals.iterrows():
        cells = {"system": escaped(system, table_format)}
        for metric in METRICS:
            cells[metric] = _number(row[metric])
            for name in ("utterances", "speakers"):
                low = row.get(f"{metric} low over {name}")
                if low is not None and not pd.isna(low):
                    high = row[f"{metric} high over {name}"]
                    cells[f"{metric} over {row[name]:.0f} {name}"] = (
                        f"[{_number(low)}, {_number(high)}]"
                    )
        rows.append(cells)
    return tabulate(
        pd.DataFrame(rows),
        headers="keys",
        tablefmt=table_format,
        showindex=False,
        disable_numparse=True,
    )


def format_tables(results, intervals, corpus_name, protocol, reference):
    """Every table, by the ending of a file: ``csv``, ``md`` and ``tex``."""
    summary = summarise_systems(results, reference)
    report = build_report(summary, corpus_name)
    seeds = ", ".join(map(str, sorted(results["seed"].unique())))
    label = name_of(reference)
    report_csv = report.assign(
        model=report["model"].map(as_text),
        hparams=report["hparams"].map(as_text),
    )
    title = (
        f"{escaped(corpus_name, 'github')}, {escaped(protocol, 'github')}, seed {seeds}: mean ± standard deviation "
        f"over folds; paired difference to {escaped(label, 'github')} with its 95% interval, corrected "
        "for shared training data (Nadeau and Bengio; of one fold, WA alone is "
        "tested, by its utterances); * p < .05, corrected in each metric for all "
        "systems (Holm)"
    )
    pooled = (
        "All folds and seeds together, with 95% intervals of the bootstrap over "
        "utterances, and over speakers where they are known"
    )
    return {
        "csv": report_csv.to_csv(index=False, float_format="%.6f"),
        "md": f"{format_report(report, title, 'github', label)}\n{pooled}\n\n"
        f"{format_intervals(intervals, 'github')}\n",
        "tex": f"{format_report(report, title, 'latex_booktabs', label)}\n"
        f"% {pooled}\n{format_intervals(intervals, 'latex_booktabs')}\n",
    }


def name_of(system):
    """What the paper calls a system, or else its file."""
    for systems in PAPER.values():
        if system in systems:
            return systems[system].name
    return system


def choose_reference(results, wanted=None):
    """The system that others are set beside: the one wanted, CAN, or the first."""
    systems = list(dict.fromkeys(results["system"]))
    if wanted is not None and wanted not in systems:
        raise InputError(
            f"there is no system {wanted!r}; found {', '.join(systems)}"
        )
    return wanted or (REFERENCE if REFERENCE in systems else systems[0])


def write_tables(stem, tables):
    """Writes what ``format_tables`` returns: ``<stem>.csv``, ``.md``, ``.tex``."""
    for suffix, text in tables.items():
        with atomic_write(f"{stem}.{suffix}") as stream:
            stream.write(text)
