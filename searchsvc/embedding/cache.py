"""A cache of document vectors by text and model, so that no rebuild encodes a text twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tuning.arrays import FloatArray

# Texts that are looked up in one statement.
LOOKUP_BATCH: Final = 500


class VectorCache:
    """One SQLite file for each model, for one thread. Deleting it costs time only.

    dimension: of the vectors; others in the file are ignored
    """

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dimension = dimension
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def get(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return the cached vectors by text, in half precision, as `half_precision` returns them."""
        text_of = {_key(text): text for text in texts}
        vectors: dict[str, FloatArray] = {}
        keys = list(text_of)
        for start in range(0, len(keys), LOOKUP_BATCH):
            batch = keys[start : start + LOOKUP_BATCH]
            marks = ",".join("?" * len(batch))
            rows = self._database.execute(f"SELECT text, vector FROM vectors WHERE text IN ({marks})", batch)  # noqa: S608 - marks only
            for key, blob in rows:
                vector = np.frombuffer(blob, np.float16)
                if len(vector) == self._dimension:
                    vectors[text_of[key]] = vector.astype(np.float32)
        return vectors

    def put(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Store the (n, dimension) vectors of n texts."""
        rows = [(_key(text), row.tobytes()) for text, row in zip(texts, vectors.astype(np.float16), strict=True)]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        self._database.close()


def half_precision(vectors: FloatArray) -> FloatArray:
    """Return vectors as the cache would return them after storing them."""
    return vectors.astype(np.float16).astype(np.float32)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
