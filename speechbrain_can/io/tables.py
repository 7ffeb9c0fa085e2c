"""Tables provided by users: CSV with commas, semicolons or tabs."""

import csv
import io
from pathlib import Path
from typing import Sequence

from speechbrain_can.io.files import InputError, parsing, read_text

LONGEST_FIELD = 2**27  # characters; enough for the words of days of audio


def read_table(
    path: str | Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Read a table as pairs of line number and row.

    Arguments
    ---------
    path : str or Path
        The file. Commas, semicolons or tabs separate its cells.
    needed : list of str
        Columns that the table must have, in upper or lower case.
    optional : list of str
        Other columns whose case is ignored. The names of further columns are kept.

    Returns
    -------
    list of (int, dict of str: str)
        Rows by the names in ``needed`` and ``optional``, without empty rows.

    Raises
    ------
    InputError
        If the table or a column is missing, a column occurs twice, or a row has more
        or fewer cells than the header.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: table not found")
    csv.field_size_limit(LONGEST_FIELD)
    with parsing(path, "a table"):
        text = read_text(path)
        skipped = _lines_before_header(text)
        lines = io.StringIO("\n".join(text.split("\n")[skipped:]), newline="")
        header = lines.readline()
        lines.seek(0)
        separator = max(",;\t", key=header.count)
        rows = csv.reader(
            lines, delimiter=separator, skipinitialspace=True, strict=True
        )
        names = _columns(path, next(rows, []), needed, optional)
        found, place = [], f"{path}, line {skipped + 1}"
        try:
            for cells in rows:
                line = skipped + rows.line_num
                place = f"{path}, line {line}"
                if any(cell.strip() for cell in cells):
                    _check_quotes(place, cells, separator)
                    found.append((line, _as_row(place, names, cells)))
        except csv.Error as error:
            raise InputError(
                f"{path}: cannot be read as a table after "
                f"{place.rpartition(', ')[2]} ({error}). Close all quotation marks, "
                "and double those within a quoted cell."
            ) from error
        return found


def _lines_before_header(text: str) -> int:
    """Return the number of blank lines, and of Excel's ``sep=;``, at the start."""
    count = 0
    for line in text.split("\n"):
        if line.strip(" ,;\t\r") and not line.lower().startswith("sep="):
            return count
        count += 1
    return 0


def _check_quotes(place, cells, separator):
    """Refuse a cell that contains whole rows, because a quotation mark is missing."""
    for cell in cells:
        if any(
            line.count(separator) == len(cells) - 1 > 0
            for line in cell.split("\n")[1:]
        ):
            raise InputError(
                f"{place}: a cell contains several rows: {cell[:40]!r} ... Close or "
                "remove its quotation mark."
            )


def _columns(path, header, needed, optional):
    """Return the names of the columns."""
    known = {name.casefold(): name for name in (*needed, *optional)}
    names = [known.get(n.strip().casefold(), n.strip()) for n in header]
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"{path}, line 1: missing columns: {', '.join(missing)}. Found: "
            f"{', '.join(names) or 'none'}. Rename or add columns."
        )
    for name in names:
        if name and names.count(name) > 1:
            raise InputError(
                f"{path}, line 1: the column {name!r} occurs {names.count(name)} "
                "times. Rename or remove one."
            )
    return names


def _as_row(place, names, cells):
    """Return the cells of a row by column."""
    # The first column may be an index without a name, as pandas writes it.
    unnamed = [
        cell
        for i, cell in enumerate(cells)
        if i > 0 and not (i < len(names) and names[i]) and cell.strip()
    ]
    if unnamed:
        raise InputError(
            f"{place}: the row has more cells than the header: {unnamed[0]!r} "
            "belongs to no column. Quote cells that contain the separator."
        )
    if len(cells) < len(names):
        raise InputError(
            f"{place}: expected {len(names)} cells, found {len(cells)}. Add the "
            "separators of empty cells."
        )
    return {name: cell for name, cell in zip(names, cells) if name}
