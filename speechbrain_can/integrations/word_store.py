"""What a frozen text encoder read, kept on disk by the words of an utterance.

Authors
 * The speechbrain-can developers 2026
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np


class WordStore:
    """Values and counts of utterances, in a SQLite file that processes share.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made.

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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keys = [json.dumps(words) for words in utterances]
        with closing(sqlite3.connect(self.path, timeout=60)) as store:
            store.execute(
                "CREATE TABLE IF NOT EXISTS utterances "
                "(words TEXT PRIMARY KEY, hidden BLOB, counts BLOB)"
            )
            found = {}
            for key in keys:
                query = "SELECT * FROM utterances WHERE words = ?"
                if row := store.execute(query, (key,)).fetchone():
                    _, values, counts = row
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
                        "INSERT OR IGNORE INTO utterances VALUES (?, ?, ?)",
                        [
                            (key, values.tobytes(), counts.tobytes())
                            for key, (values, counts) in new.items()
                        ],
                    )
        found.update(new)
        return [found[key] for key in keys]
