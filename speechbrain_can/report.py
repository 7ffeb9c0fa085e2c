"""The report of a comparison: the paper's Tables 2 to 4 with our results.

Every system is set beside CAN on the same folds and seeds. A fold's value is the
mean over its seeds; the interval of the difference to CAN is that of a paired
t-test over folds. Folds share training data, so that it is too narrow: by a
third for ten folds, by the correction of Nadeau and Bengio (2003); nor does it
allow for several comparisons being made at once.

Authors
 * The speechbrain-can developers 2026
"""

from pathlib import Path
from typing import NamedTuple, Tuple

import pandas as pd
from scipy import stats
from tabulate import tabulate

from speechbrain_can.manifest import atomic_write
from speechbrain_can.results import METRICS, finished_folds

REFERENCE = "can"
CONFIDENCE = 0.95
PAPER_CORPUS = "IEMOCAP"
NOTHING = "-"


class Published(NamedTuple):
    """A row of the paper: mean and standard deviation over ten folds.

    Arguments
    ---------
    name : str
        What the paper calls the system.
    WA, UA : tuple of float
        Mean and standard deviation on IEMOCAP.
    """

    name: str
    WA: Tuple[float, float]
    UA: Tuple[float, float]


# Tables 2 to 4 of the paper; a system's key is the name of its hparams file.
PAPER = {
    "Table 2: models": {
        "text_model": Published("TextModel", (0.513, 0.015), (0.443, 0.015)),
        "audio_model": Published("AudioModel", (0.431, 0.017), (0.323, 0.015)),
        "multi_hop": Published("Yoon et al.", (0.564, 0.020), (0.472, 0.017)),
        "learned_alignment": Published(
            "Xu et al.", (0.560, 0.028), (0.450, 0.028)
        ),
        "can": Published("CAN", (0.579, 0.019), (0.487, 0.017)),
    },
    "Table 3: segmentation": {
        "can": Published("Aligned", (0.579, 0.019), (0.487, 0.017)),
        "equal_segmentation": Published(
            "Equal", (0.568, 0.022), (0.467, 0.021)
        ),
    },
    "Table 4: ablations": {
        "can": Published("CAN", (0.579, 0.019), (0.487, 0.017)),
        "no_stop_gradient": Published(
            "- stop-gradient", (0.570, 0.018), (0.469, 0.023)
        ),
        "no_align_loss": Published("- L_align", (0.573, 0.015), (0.484, 0.017)),
        "no_stop_gradient_no_align_loss": Published(
            "- stop-gradient, L_align", (0.563, 0.015), (0.479, 0.024)
        ),
        "no_cross_attention": Published(
            "- cross attention", (0.556, 0.013), (0.458, 0.015)
        ),
    },
}
OTHERS = "Other systems"


def collect(folder):
    """Reads the results of every finished fold.

    Arguments
    ---------
    folder : str or Path
        The comparison: runs in ``<system>/<seed>``.

    Returns
    -------
    pandas.DataFrame
        A row a fold: ``system``, ``seed`` and what its ``result.json`` holds.
    """
    rows = [
        {"system": run.parent.name, "seed": int(run.name), **result}
        for run in sorted(Path(folder).glob("*/*[0-9]"))
        for result in finished_folds(run)
    ]
    return pd.DataFrame(
        rows, columns=["system", "seed", "fold", *METRICS, "seconds"]
    )


def summarise_systems(results):
    """Mean and deviation of each system, and its paired difference to CAN.

    Arguments
    ---------
    results : pandas.DataFrame
        What ``collect`` returns.

    Returns
    -------
    pandas.DataFrame
        A row a system: the number of ``folds``, of ``seeds``, of ``runs`` (one
        fold with one seed) and of ``pairs`` with a run of CAN; for each metric
        ``mean`` and sample ``std`` over folds, and where CAN has folds in
        common ``difference`` with the bounds ``low`` and ``high`` of its 95%
        confidence interval (from two folds on); mean ``seconds`` a fold.

    Example
    -------
    >>> results = pd.DataFrame(
    ...     [("can", 1, 0, 0.5, 0.4, 9.0), ("can", 1, 1, 0.7, 0.6, 9.0)]
    ...     + [("other", 1, 0, 0.4, 0.4, 5.0), ("other", 1, 1, 0.5, 0.4, 5.0)],
    ...     columns=["system", "seed", "fold", "WA", "UA", "seconds"],
    ... )
    >>> print(f"{summarise_systems(results).loc['other', 'WA difference']:.2f}")
    -0.15
    """
    reference = results[results["system"] == REFERENCE]
    rows = {}
    for system, own in results.groupby("system", sort=False):
        row = {
            "folds": own["fold"].nunique(),
            "seeds": own["seed"].nunique(),
            "runs": len(own),
        }
        folds = own.groupby("fold")[list(METRICS)].mean()
        paired = own.merge(reference, on=["seed", "fold"])
        for metric in METRICS:
            row[f"{metric} mean"] = folds[metric].mean()
            row[f"{metric} std"] = folds[metric].std()
            row["pairs"] = len(paired)
            if system != REFERENCE and len(paired):
                columns = [f"{metric}_x", f"{metric}_y"]
                pairs = paired.groupby("fold")[columns].mean()
                difference = _paired_difference(*pairs.to_numpy().T)
                for name, value in difference.items():
                    row[f"{metric} {name}"] = value
        row["seconds"] = own["seconds"].mean()
        rows[system] = row
    return pd.DataFrame(rows.values(), index=rows)


def _paired_difference(ours, reference):
    row = {"difference": (ours - reference).mean()}
    if len(ours) > 1:
        test = stats.ttest_rel(ours, reference)
        row["low"], row["high"] = test.confidence_interval(CONFIDENCE)
    return row


def build_report(summary, corpus_name):
    """The paper's tables in its own order, systems of one's own after them.

    Arguments
    ---------
    summary : pandas.DataFrame
        What ``summarise_systems`` returns.
    corpus_name : str
        The paper's own numbers are added only for ``IEMOCAP``.

    Returns
    -------
    pandas.DataFrame
        Columns ``table``, ``model``, ``hparams``, and those of the summary.
    """
    published = {key for rows in PAPER.values() for key in rows}
    others = {
        system: Published(system, (None, None), (None, None))
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
                for metric in METRICS:
                    mean, std = getattr(systems[system], metric)
                    row[f"paper's {metric} mean"] = mean
                    row[f"paper's {metric} std"] = std
            rows.append(row)
    return pd.DataFrame(rows)


def format_report(report, title, table_format):
    """The report as text.

    Arguments
    ---------
    report : pandas.DataFrame
        What ``build_report`` returns.
    title : str
        Corpus, protocol and seeds.
    table_format : str
        ``github`` (Markdown) or ``latex_booktabs``.

    Returns
    -------
    str
        A table for each of the paper's, mean ± std over folds and the
        difference to CAN with its confidence interval.
    """
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
    names = [f"{metric} {name}" for name in ("difference", "low", "high")]
    cells = []
    for difference, low, high in rows.reindex(columns=names).to_numpy(float):
        cell = _number(difference, sign=True)
        if not pd.isna(low):
            cell += f" [{_number(low, True)}, {_number(high, True)}]"
        cells.append(cell)
    return cells


def _number(value, sign=False):
    """Three digits as the field writes shares: .579"""
    if pd.isna(value):
        return NOTHING
    return f"{value:{'+' if sign else ''}.3f}".replace("0.", ".", 1)


def write_report(folder, corpus_name, protocol):
    """Writes ``comparison.csv``, ``comparison.md`` and ``comparison.tex``.

    Arguments
    ---------
    folder : str or Path
        The comparison: runs in ``<system>/<seed>``, whichever command they
        come from.
    corpus_name : str
        The corpus.
    protocol : str
        The protocol and the number of classes.

    Returns
    -------
    str or None
        The Markdown; None if no fold is finished.
    """
    results = collect(folder)
    if not len(results):
        return None
    report = build_report(summarise_systems(results), corpus_name)
    seeds = ", ".join(map(str, sorted(results["seed"].unique())))
    title = (
        f"{corpus_name}, {protocol}, seed {seeds}: mean ± standard deviation "
        "over folds; paired difference to CAN with its 95% confidence interval"
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
