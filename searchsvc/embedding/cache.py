"""Vectors of document texts, kept by text and model, so that no rebuild encodes anything twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tuning.arrays import FloatArray

LOOKUP = 500


class VectorCache:
    """One SQLite file a model. Used by one thread. Losing it costs time, never truth."""

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dimension = dimension
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def get(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """The known vectors by text, in half precision (as the index keeps them)."""
        keys = {_key(text): text for text in texts}
        known: dict[str, FloatArray] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), LOOKUP):
            part = wanted[start : start + LOOKUP]
            marks = ",".join("?" * len(part))
            rows = self._database.execute(f"SELECT text, vector FROM vectors WHERE text IN ({marks})", part)  # noqa: S608 - marks only
            for key, blob in rows:
                vector = np.frombuffer(blob, np.float16)
                if len(vector) == self._dimension:
                    known[keys[key]] = vector.astype(np.float32)
        return known

    def put(self, texts: Sequence[str], vectors: FloatArray) -> None:
        rows = [(_key(text), row.tobytes()) for text, row in zip(texts, vectors.astype(np.float16), strict=True)]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        self._database.close()


def half_precision(vectors: FloatArray) -> FloatArray:
    """What is left of vectors that were put away and taken out again. Same shape."""
    return vectors.astype(np.float16).astype(np.float32)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
