"""The report of a comparison: the paper's Tables 2 to 4 with our results.

Every system is set beside CAN on the same folds and seeds.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path

import pandas as pd
from tabulate import tabulate

from speechbrain_can.files import atomic_write
from speechbrain_can.results.folds import collect
from speechbrain_can.results.metrics import METRICS
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


def format_report(report, title, table_format):
    """The report as text, in a format of tabulate's: a table for each table."""
    latex = table_format.startswith("latex")
    parts = [title if not latex else f"% {title}"]
    for table, rows in report.groupby("table", sort=False):
        cells = pd.DataFrame(
            {
                "model": rows["model"],
                "hparams": rows["hparams"],
                "folds": _counts(rows),
            }
        )
        for metric in METRICS:
            cells[metric] = _with_std(rows, metric)
        for metric in METRICS:
            cells[f"{metric} - CAN's [95%]"] = _with_interval(rows, metric)
        for metric in METRICS:
            if f"paper's {metric} mean" in rows:
                header = f"paper's {metric} (IEMOCAP, random10, 7 classes)"
                cells[header] = _with_std(rows, f"paper's {metric}")
        text = tabulate(
            cells,
            headers="keys",
            tablefmt=table_format,
            showindex=False,
            disable_numparse=True,
        )
        if latex:
            text = text.replace("±", r"$\pm$")
        parts.append(f"% {table}\n{text}" if latex else f"{table}\n\n{text}")
    return "\n\n".join(parts) + "\n"


def _counts(rows):
    """Folds; and seeds, runs and pairs where they are not what one expects."""
    cells = []
    for _, row in rows.iterrows():
        cell = str(row["folds"])
        if row["seeds"] > 1:
            cell += f" x {row['seeds']} seeds"
        if row["runs"] != row["folds"] * row["seeds"]:
            cell += f", {row['runs']} runs"
        if row["pairs"] != row["runs"]:
            cell += f", {row['pairs']} beside CAN"
        cells.append(cell)
    return cells


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


def write_report(folder, corpus_name, protocol):
    """Writes ``comparison.csv``, ``comparison.md`` and ``comparison.tex``.

    Returns the Markdown, or None if no fold is finished.
    """
    results = collect(folder)
    if not len(results):
        return None
    report = build_report(summarise_systems(results), corpus_name)
    seeds = ", ".join(map(str, sorted(results["seed"].unique())))
    title = (
        f"{corpus_name}, {protocol}, seed {seeds}: mean ± standard deviation "
        "over folds; paired difference to CAN with its 95% interval, corrected "
        "for shared training data (Nadeau and Bengio; McNemar's test where "
        "there is one fold); * p < .05, corrected in each metric for all systems (Holm)"
    )
    markdown = format_report(report, title, "github")
    texts = {
        "csv": report.to_csv(index=False, float_format="%.6f"),
        "md": markdown,
        "tex": format_report(report, title, "latex_booktabs"),
    }
    for suffix, text in texts.items():
        with atomic_write(Path(folder) / f"comparison.{suffix}") as stream:
            stream.write(text)
    return markdown
