"""Tables that people write: CSV, or TSV by the ending."""

import csv
import io
from pathlib import Path

from speechbrain_can.files import InputError, decode, parsing

LONGEST_FIELD = 2**27  # characters: the words of a recording of days


def read_table(path, needed):
    """Lines of a table: number and columns.

    Raises ``InputError`` if there is no such table or a column is missing.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such table")
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
                f"{path}, line 1: missing column(s) {', '.join(missing)}; found "
                f"{', '.join(rows.fieldnames or ['none'])}"
            )
        return [(rows.line_num, row) for row in rows]
