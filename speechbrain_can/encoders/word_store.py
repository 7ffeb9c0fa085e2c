"""What a frozen text encoder read, kept on disk by the words of an utterance."""

import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np

from speechbrain_can.io.files import InputError

VERSION = 2  # of what is in a store
TABLE = "utterances (words TEXT PRIMARY KEY, hidden BLOB, counts BLOB, checksum INTEGER)"


class WordStoreError(InputError):
    """What was read cannot be used; the message says what to delete."""


class WordStore:
    """Values and counts of utterances, in a SQLite file that processes share.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made. What is read is checked against the sum that
        was stored with it.

    Raises
    ------
    WordStoreError
        If the file was damaged, here or where utterances are found.

    Example
    -------
    >>> import tempfile
    >>> store = WordStore(f"{tempfile.mkdtemp()}/words.sqlite")
    >>> def read(words):
    ...     return np.zeros(len(words), np.float32), np.ones(1, np.int64)
    >>> ((values, counts),) = store.fetch([["oh", "no"]], read)
    >>> values.tolist(), counts.tolist()
    ([0.0, 0.0], [1])
    """

    def __init__(self, path):
        self.path = Path(path)

    def fetch(self, utterances, read, limit=None):
        """Finds utterances, and reads and stores those that are not there."""
        try:
            return self._fetch(utterances, read, limit)
        except sqlite3.DatabaseError as error:
            # full or locked is not damaged
            if isinstance(error, sqlite3.OperationalError):
                raise WordStoreError(
                    f"{self.path} cannot be used ({error}); if no other process "
                    "writes to it and the disk is not full, delete it"
                ) from error
            raise self._damage() from error

    def _damage(self):
        return WordStoreError(
            f"{self.path} is damaged; delete it, and its words are read anew"
        )

    def _fetch(self, utterances, read, limit):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keys = [json.dumps(words) for words in utterances]
        with closing(sqlite3.connect(self.path, timeout=60)) as store:
            store.execute("PRAGMA trusted_schema = OFF")
            store.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
            # a view, or a trigger of the table, computes what it likes
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
            if store.execute(query).fetchall() != [(f"CREATE TABLE {TABLE}",)]:
                raise self._damage()
            found = {}
            for key in keys:
                query = (
                    "SELECT hidden, counts, checksum FROM utterances "
                    "WHERE words = ?"
                )
                if row := store.execute(query, (key,)).fetchone():
                    values, counts, checksum = row
                    whole = isinstance(values, bytes) and isinstance(
                        counts, bytes
                    )
                    if not whole or _checksum(key, values, counts) != checksum:
                        raise self._damage()
                    found[key] = (
                        np.frombuffer(values, np.float32),
                        np.frombuffer(counts, np.int64),
                    )
            new = {
                key: words
                for key, words in zip(keys, utterances)
                if key not in found
            }
            new = {key: read(words) for key, words in new.items()}
            query = "SELECT max(rowid) FROM utterances"
            size = store.execute(query).fetchone()[0] or 0
            if new and (limit is None or size < limit):
                with store:
                    # Another process may have read the same meanwhile.
                    store.executemany(
                        "INSERT OR IGNORE INTO utterances VALUES (?, ?, ?, ?)",
                        [
                            _row(key, values.tobytes(), counts.tobytes())
                            for key, (values, counts) in new.items()
                        ],
                    )
        found.update(new)
        return [found[key] for key in keys]


def _row(key, values, counts):
    return key, values, counts, _checksum(key, values, counts)


def _checksum(key, values, counts):
    return zlib.crc32(counts, zlib.crc32(values, zlib.crc32(key.encode())))
