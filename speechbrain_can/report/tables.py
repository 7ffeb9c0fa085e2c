"""Comparison tables: the paper's Tables 2 to 4 with our results.

All systems are compared with a reference system, usually CAN, on the same folds
and seeds.
"""

import math
import re
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from speechbrain_can.io.files import (
    LINES,
    InputError,
    as_text,
    atomic_write,
    printable,
)
from speechbrain_can.metrics.intervals import bootstrap_intervals
from speechbrain_can.metrics.metrics import METRICS, evaluate
from speechbrain_can.report.comparison import summarize_systems
from speechbrain_can.report.paper import (
    PAPER,
    PAPER_CORPUS,
    REFERENCE,
    Published,
)

NOTHING = "-"
OTHERS = "Other systems"
SIGNIFICANT = 0.05


def build_report(summary: pd.DataFrame, corpus_name: str) -> pd.DataFrame:
    """Return the paper's tables in their order, followed by other systems."""
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
        # skip tables that contain only CAN
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
                    row[f"paper {metric} mean"] = mean
                    row[f"paper {metric} std"] = std
            rows.append(row)
    return pd.DataFrame(rows)


def format_report(
    report: pd.DataFrame, title: str, table_format: str, reference: str = "CAN"
) -> str:
    """Format the report in one of tabulate's formats."""
    latex = table_format.startswith("latex")
    parts = [title if not latex else f"% {title}"]
    for heading, text in report_tables(report, table_format, reference).items():
        if latex:
            text = text.replace("±", r"$\pm$")
        parts.append(
            f"% {heading}\n{text}" if latex else f"{heading}\n\n{text}"
        )
    return "\n\n".join(parts) + "\n"


def escaped(text: str, table_format: str) -> str:
    r"""Escape user-defined names for a table; tabulate escapes LaTeX and HTML.

    Example
    -------
    >>> print(escaped("a|<b>", "github"))
    a\|&lt;b>
    """
    text = " ".join(str(text).split())
    if table_format == "github":
        # Markdown ignores underscores within words
        text = re.sub(r"([\\`*~\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", text)
        return text.replace("&", "&amp;").replace("<", "&lt;")
    return text


def report_tables(
    report: pd.DataFrame, table_format: str, reference: str = "CAN"
) -> dict[str, str]:
    """Return the tables of the report by heading, in one of tabulate's formats."""
    compared = report["hparams"].nunique() > 1
    return {
        heading: _format(
            _cells(rows, reference if compared else None, table_format),
            table_format,
        )
        for heading, rows in _by_heading(report).items()
    }


def _by_heading(report: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each table; without the paper's systems there is one table."""
    groups = dict(list(report.groupby("table", sort=False)))
    return {"Systems": report} if list(groups) == [OTHERS] else groups


def narrow_tables(
    report: pd.DataFrame, reference: str
) -> dict[str, tuple[str, str | None]]:
    """Return the tables of the report as HTML, with differences in their own tables."""
    compared = report["hparams"].nunique() > 1
    mark = f" difference from {escaped(reference, 'html')} [95% CI]"
    found = {}
    for heading, rows in _by_heading(report).items():
        cells = _cells(rows, reference, "html")
        marked = [name for name in cells if name.endswith(mark)]
        differences = cells[["model", *marked]].rename(
            columns=lambda name: name.removesuffix(mark)
        )
        found[heading] = (
            _format(cells.drop(columns=marked), "html"),
            _format(differences, "html") if compared else None,
        )
    return found


def _format(cells: pd.DataFrame, table_format: str) -> str:
    """Format cells in one of tabulate's formats."""
    return tabulate(
        cells,
        headers="keys",
        tablefmt=table_format,
        showindex=False,
        disable_numparse=True,
    )


def _cells(
    rows: pd.DataFrame, reference: str | None, table_format: str
) -> pd.DataFrame:
    """Return the cells of a table; without a reference, differences are omitted."""
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
        header = f"{metric} difference from {escaped(reference, table_format)} [95% CI]"
        cells[header] = _with_interval(rows, metric)
    for metric in METRICS:
        if f"paper {metric} mean" in rows:
            header = f"{metric} in the paper (IEMOCAP, random10, 7 classes)"
            cells[header] = _with_std(rows, f"paper {metric}")
    return cells


def _counts(rows: pd.DataFrame) -> list[str]:
    """Return the numbers of folds and, if there are several, seeds."""
    return [
        f"{folds}" + (f" x {seeds} seeds" if seeds > 1 else "")
        for folds, seeds in zip(rows["folds"], rows["seeds"])
    ]


def _with_std(rows, name):
    return [
        number(mean) if pd.isna(std) else f"{number(mean)} ± {number(std)}"
        for mean, std in zip(rows[f"{name} mean"], rows[f"{name} std"])
    ]


def _with_interval(rows: pd.DataFrame, metric: str) -> list[str]:
    """Return differences with intervals and a star for significant ones."""
    names = [f"{metric} {name}" for name in ("difference", "low", "high", "p")]
    cells = []
    for difference, low, high, p in rows.reindex(columns=names).to_numpy(float):
        cell = number(difference, sign=True)
        if not pd.isna(low):
            cell += f" [{number(low, True)}, {number(high, True)}]"
        cells.append(cell + ("*" if p < SIGNIFICANT else ""))
    return cells


def number(value: float, sign: bool = False) -> str:
    """Format a share with three digits and no leading zero, such as .579."""
    if pd.isna(value):
        return NOTHING
    return f"{value:{'+' if sign else ''}.3f}".replace("0.", ".", 1)


def interval_table(
    predictions: pd.DataFrame, speakers: dict[str, str] | None = None
) -> pd.DataFrame:
    """Return the metrics over all folds and seeds with bootstrap intervals.

    There is one row per system: ``<metric>``, its bounds ``<metric> low`` and
    ``high`` over ``utterances`` and ``speakers``, and the numbers of both. Without
    ``speakers``, only utterances are resampled.
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


def format_intervals(intervals: pd.DataFrame, table_format: str) -> str:
    """Format the result of ``interval_table``."""
    rows = []
    for system, row in intervals.iterrows():
        cells = {"system": escaped(system, table_format)}
        for metric in METRICS:
            cells[metric] = number(row[metric])
            for name in ("utterances", "speakers"):
                low = row.get(f"{metric} low over {name}")
                if low is not None and not pd.isna(low):
                    high = row[f"{metric} high over {name}"]
                    cells[f"{metric} over {row[name]:.0f} {name}"] = (
                        f"[{number(low)}, {number(high)}]"
                    )
        rows.append(cells)
    return tabulate(
        pd.DataFrame(rows),
        headers="keys",
        tablefmt=table_format,
        showindex=False,
        disable_numparse=True,
    )


def format_tables(
    results: pd.DataFrame,
    intervals: pd.DataFrame,
    corpus_name: str,
    protocol: str,
    reference: str,
) -> dict[str, str]:
    """Return all tables by file extension: ``csv``, ``md`` and ``tex``."""
    summary = summarize_systems(results, reference)
    report = build_report(summary, corpus_name)
    seeds = ", ".join(map(str, sorted(results["seed"].unique())))
    label = name_of(reference)
    report_csv = report.assign(
        model=report["model"].map(as_text),
        hparams=report["hparams"].map(as_text),
    )
    title = (
        f"{escaped(corpus_name, 'github')}, {escaped(protocol, 'github')}, seed "
        f"{seeds}: mean ± standard deviation over folds. Paired difference from "
        f"{escaped(label, 'github')} with 95% confidence interval, corrected for "
        "shared training data (Nadeau and Bengio); for a single fold, only WA is "
        "tested, on utterances. * p < .05 after Holm's correction for the number "
        "of systems, per metric."
    )
    pooled = (
        "All folds and seeds together, with 95% bootstrap intervals over "
        "utterances and, if known, over speakers"
    )
    return {
        "csv": report_csv.to_csv(index=False, float_format="%.6f"),
        "md": f"{format_report(report, title, 'github', label)}\n{pooled}\n\n"
        f"{format_intervals(intervals, 'github')}\n",
        "tex": f"{format_report(report, title, 'latex_booktabs', label)}\n"
        f"% {pooled}\n{format_intervals(intervals, 'latex_booktabs')}\n",
    }


def name_of(system: str) -> str:
    """Return the name of a system in the paper, or the system itself."""
    for systems in PAPER.values():
        if system in systems:
            return systems[system].name
    return system


def choose_reference(results: pd.DataFrame, wanted: str | None = None) -> str:
    """Return the reference system: the requested one, CAN, or the first one."""
    systems = list(dict.fromkeys(results["system"]))
    if wanted is not None and wanted not in systems:
        raise InputError(
            f"unknown system {wanted!r}. Choose one of {', '.join(systems)}."
        )
    return wanted or (REFERENCE if REFERENCE in systems else systems[0])


def write_tables(stem: str | Path, tables: dict[str, str]) -> None:
    """Write the tables to ``<stem>.csv``, ``.md`` and ``.tex``."""
    for suffix, text in tables.items():
        with atomic_write(f"{stem}.{suffix}") as stream:
            stream.write(printable(text, LINES))
