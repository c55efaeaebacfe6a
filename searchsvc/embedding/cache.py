"""A cache of document vectors by text and model, so that no rebuild encodes a text twice.

It only ever saves time. Each vector carries a checksum, and one that does not match it is encoded again. A file that
SQLite cannot read is deleted and begun anew; one that cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from tuning.arrays import FloatArray

# Texts that are looked up in one statement.
LOOKUP_BATCH: Final = 500
CHECKSUM_BYTES: Final = 4
# SQLite's name.
IN_MEMORY: Final = ":memory:"

T = TypeVar("T")
log = logging.getLogger(__name__)


class VectorCache:
    """One SQLite file for each model, for one thread. Deleting it costs time only.

    dimension: of the vectors; others in the file are ignored
    """

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._dimension = dimension
        try:
            self._database = _open(path)
        except sqlite3.OperationalError as error:  # a full disk, a lock: the file may be whole
            log.warning("the vector cache %s cannot be opened, vectors are kept in memory: %s", path, error)
            self._database = _open(Path(IN_MEMORY))
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def get(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return the cached vectors by text, in half precision, as `half_precision` returns them."""
        text_of = {_key(text): text for text in texts}
        keys = list(text_of)
        vectors: dict[str, FloatArray] = {}
        for start in range(0, len(keys), LOOKUP_BATCH):
            nothing: list[tuple[bytes, object]] = []
            for key, blob in self._attempt(partial(self._rows, keys[start : start + LOOKUP_BATCH]), nothing):
                vector = _vector(blob)
                if vector is not None and len(vector) == self._dimension:
                    vectors[text_of[key]] = vector
        return vectors

    def put(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Store the (n, dimension) vectors of n texts."""
        rows = [(_key(text), _blob(row)) for text, row in zip(texts, vectors.astype(np.float16), strict=True)]
        self._attempt(partial(self._write, rows), None)

    def close(self) -> None:
        self._database.close()

    def _rows(self, keys: Sequence[bytes]) -> list[tuple[bytes, object]]:
        marks = ",".join("?" * len(keys))
        rows = self._database.execute(f"SELECT text, vector FROM vectors WHERE text IN ({marks})", keys)  # noqa: S608 - marks only
        return rows.fetchall()

    def _write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def _attempt(self, work: Callable[[], T], otherwise: T) -> T:
        """Return a result, or something else if the file cannot be read or written."""
        try:
            return work()
        except sqlite3.OperationalError as error:  # a full disk, a lock
            log.warning("the vector cache %s is done without: %s", self._path, error)
        except sqlite3.DatabaseError as error:
            self._database.close()
            self._begin_anew(error)
        return otherwise

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        log.warning("the vector cache %s is damaged and begun anew: %s", self._path, error)
        for file in (self._path, *self._path.parent.glob(f"{self._path.name}-*")):
            file.unlink(missing_ok=True)
        try:
            self._database = _open(self._path)
        except sqlite3.DatabaseError as again:
            log.warning("the vector cache is kept in memory: %s", again)
            self._database = _open(Path(IN_MEMORY))


def half_precision(vectors: FloatArray) -> FloatArray:
    """Return vectors as the cache would return them after storing them."""
    return vectors.astype(np.float16).astype(np.float32)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _blob(vector: FloatArray) -> bytes:
    content = vector.tobytes()
    return content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little")


def _vector(blob: object) -> FloatArray | None:
    """Return the vector that was stored; None if it was not stored like this."""
    if not isinstance(blob, bytes):
        return None
    content, checksum = blob[:-CHECKSUM_BYTES], blob[-CHECKSUM_BYTES:]
    if len(content) % 2 or zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        return None
    return np.frombuffer(content, np.float16).astype(np.float32)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
