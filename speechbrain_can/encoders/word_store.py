"""Cache of the hidden states of frozen text encoders, by the words of an utterance."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Callable, Sequence

import numpy as np

from speechbrain_can.io.files import InputError
from speechbrain_can.io.integrity import checksum

VERSION = 2  # of the stored values
TABLE = "utterances (words TEXT PRIMARY KEY, hidden BLOB, counts BLOB, checksum INTEGER)"


class WordStoreError(InputError):
    """Raised for damaged caches; the message says what to delete."""


class WordStore:
    """SQLite cache of values and counts of utterances, shared by processes.

    Arguments
    ---------
    path : str or Path
        The file. Each row has a checksum, which is verified on every read.

    Raises
    ------
    WordStoreError
        If the file is damaged.

    Example
    -------
    >>> import tempfile
    >>> store = WordStore(f"{tempfile.mkdtemp()}/words.sqlite")
    >>> def encode(words):
    ...     return np.zeros(len(words), np.float32), np.ones(1, np.int64)
    >>> ((values, counts),) = store.fetch([["oh", "no"]], encode)
    >>> values.tolist(), counts.tolist()
    ([0.0, 0.0], [1])
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def fetch(
        self,
        utterances: Sequence[Sequence[str]],
        encode: Callable,
        limit: int | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return values and counts of utterances; encode and store missing ones.

        A store with ``limit`` utterances does not grow further.
        """
        try:
            return self._fetch(utterances, encode, limit)
        except sqlite3.DatabaseError as error:
            # A full disk or a lock is not damage.
            if isinstance(error, sqlite3.OperationalError):
                raise WordStoreError(
                    f"{self.path} cannot be used ({error}). If no other process "
                    "writes to it and the disk is not full, delete it."
                ) from error
            raise self._damage() from error

    def _damage(self, words: Sequence[str] = ()) -> WordStoreError:
        """Return an error about the file, or about the row of some words."""
        row = f"the row of {' '.join(words)!r}" if words else "the file"
        return WordStoreError(
            f"{self.path}: {row} is damaged. Delete the file; its words are encoded "
            "again."
        )

    def _fetch(self, utterances, encode, limit):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keys = [json.dumps(words) for words in utterances]
        with closing(sqlite3.connect(self.path, timeout=60)) as store:
            store.execute("PRAGMA trusted_schema = OFF")
            store.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
            # A view or trigger could return computed values.
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
            if store.execute(query).fetchall() != [(f"CREATE TABLE {TABLE}",)]:
                raise self._damage()
            found = {}
            for key, words in zip(keys, utterances):
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
                        raise self._damage(words)
                    found[key] = (
                        np.frombuffer(values, np.float32),
                        np.frombuffer(counts, np.int64),
                    )
            new = {
                key: words
                for key, words in zip(keys, utterances)
                if key not in found
            }
            new = {key: encode(words) for key, words in new.items()}
            query = "SELECT max(rowid) FROM utterances"
            size = store.execute(query).fetchone()[0] or 0
            if new and (limit is None or size < limit):
                with store:
                    # Another process may have stored the same words meanwhile.
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
    return checksum(key.encode(), values, counts)
