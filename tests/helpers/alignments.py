"""Words and files that tests of alignment readers share."""

from speechbrain_can.alignment.readers.formats import read_alignment
from speechbrain_can.alignment.words import Word

WORDS = [Word("oh", 0.1, 0.4), Word("really", 0.4, 0.95)]


def read(tmp_path, name, text, encoding="utf-8", **options):
    """Return the words of a file with this text."""
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_alignment(path, **options)
