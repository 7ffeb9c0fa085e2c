"""Results by group: tables of ``report --by``."""

from dataclasses import dataclass
from typing import Dict, List, Sequence

import pandas as pd
from tabulate import tabulate

from speechbrain_can.corpus.manifest import ManifestError, column_value
from speechbrain_can.corpus.prepared import Corpus
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.groups import BINS, METRIC, binned, group_results
from speechbrain_can.report.data import Gathered
from speechbrain_can.report.tables import escaped, number

DURATION = "duration"
UNKNOWN = "unknown"
ORIGINS = ("speaker", "session", "dialog")  # their numbers are names


@dataclass(frozen=True)
class GroupTable:
    """Results of one system by one column.

    Arguments
    ---------
    column : str
        Column of the manifest.
    system : str
        Name of the system.
    table : pandas.DataFrame
        See ``group_results``.
    gap : dict
        See ``group_results``.
    smallest : int
        Groups with fewer utterances have no scores.
    """

    column: str
    system: str
    table: pd.DataFrame
    gap: Dict
    smallest: int

    @property
    def title(self) -> str:
        """Heading of the table."""
        return f"{self.system} by {self.column}"

    @property
    def summary(self) -> str:
        """The gap between groups as a sentence, and the groups without scores."""
        sentences = []
        if self.gap:
            sentences.append(
                "Largest difference in UA: {gap} [{low}, {high}] between {best} and "
                "{worst}, resampled by {over}.".format(
                    **{
                        **self.gap,
                        **{
                            name: number(self.gap[name])
                            for name in ("gap", "low", "high")
                        },
                    }
                )
            )
        small = int((self.table["n"] < self.smallest).sum())
        if small:
            sentences.append(
                f"{small} groups with fewer than {self.smallest} utterances have no "
                "scores (--smallest-group)."
            )
        return " ".join(sentences)

    def format(self, table_format: str) -> str:
        """Return the table in one of tabulate's formats."""
        rows = []
        for name, row in self.table.iterrows():
            cells = {
                self.column: escaped(name, table_format),
                "n": f"{row['n']:.0f}",
            }
            if "speakers" in row:
                cells["speakers"] = f"{row['speakers']:.0f}"
            if METRIC in row:
                cells |= _scores(row)
            rows.append(cells)
        return tabulate(
            pd.DataFrame(rows),
            headers="keys",
            tablefmt=table_format,
            showindex=False,
            disable_numparse=True,
        )


def _scores(row: pd.Series) -> dict[str, str]:
    interval = ""
    if not pd.isna(row["UA low"]):
        interval = f" [{number(row['UA low'])}, {number(row['UA high'])}]"
        if row["over"] == "utterances":
            interval += "\u2020"
    return {
        "UA [95% CI]": number(row["UA"]) + interval,
        "WA": number(row["WA"]),
        **{
            name: number(row[name])
            for name in row.index
            if name.startswith("recall of ")
        },
        "ECE": number(row["ECE"]),
    }


def group_tables(
    gathered: Gathered, columns: Sequence[str], smallest: int
) -> List[GroupTable]:
    """Return the results of every system by every column.

    Raises ``InputError`` if the manifest does not have a column, or if all utterances
    have the same value.
    """
    corpus = gathered.corpus
    speakers = corpus.speakers()
    known = all(speakers[name] for name in set(gathered.predictions["ID"]))
    tables = []
    for column in columns:
        values = column_values(corpus, column)
        for system in gathered.systems:
            own = gathered.predictions
            own = own[own["system"] == system].reset_index(drop=True)
            bins = 1 if column in ORIGINS else BINS
            groups = binned(own["ID"].map(values), bins)
            if len(groups.cat.categories) < 2:
                raise InputError(
                    f"--by={column}: all utterances have the value "
                    f"{groups.iloc[0]!r}"
                )
            table, gap = group_results(
                own,
                groups,
                corpus.classes,
                own["ID"].map(speakers) if known else None,
                smallest,
            )
            tables.append(GroupTable(column, system, table, gap, smallest))
    return tables


def column_values(corpus: Corpus, column: str) -> dict[str, str]:
    """Return the values of a column by ID; empty ones are ``UNKNOWN``."""
    if column == DURATION:
        return {name: u.duration for name, u in corpus.utterances.items()}
    try:
        return {
            name: column_value(utterance, column) or UNKNOWN
            for name, utterance in corpus.utterances.items()
        }
    except ManifestError as error:
        reason = str(error).partition("has ")[2]
        raise InputError(
            f"--by={column}: the manifest has {reason} Or duration."
        ) from error


def format_groups(tables: Sequence[GroupTable], table_format: str) -> str:
    """Format tables with their headings and summaries."""
    mark = "% " if table_format.startswith("latex") else ""
    parts = [
        f"{mark}{table.title}\n\n{table.format(table_format)}\n\n"
        f"{mark}{table.summary}"
        for table in tables
    ]
    if any("\u2020" in part for part in parts):
        parts.append(f"{mark}\u2020 resampled by utterance: {EXPLANATION}.")
    return "\n\n".join(parts)


EXPLANATION = "the group has a single speaker, or speakers are unknown"
