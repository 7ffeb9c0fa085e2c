"""Tables provided by users: CSV, or TSV by file extension."""

import csv
import io
from pathlib import Path
from typing import Sequence

from speechbrain_can.io.files import InputError, decode, parsing

LONGEST_FIELD = 2**27  # characters; enough for the words of days of audio


def read_table(
    path: str | Path, needed: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """Read a table as pairs of line number and row.

    Raises ``InputError`` if the table or a column is missing.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: table not found")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    csv.field_size_limit(LONGEST_FIELD)
    with parsing(path, "a table"):
        text = decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        rows = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=separator
        )
        missing = [key for key in needed if key not in (rows.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path}, line 1: missing columns: {', '.join(missing)}. Found: "
                f"{', '.join(rows.fieldnames or ['none'])}."
            )
        return [(rows.line_num, row) for row in rows]
