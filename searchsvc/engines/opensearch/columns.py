"""Pack what each hit reports in one binary field: the signals, the vector and the title of a document. Pure.

One field, because the node reads each field of each hit by itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from tuning.arrays import FloatArray

_SCALE_BYTES = 4


class Columns:
    """Packs and unpacks the field. dimension: of the vectors, 0 without any."""

    def __init__(self, n_signals: int, dimension: int) -> None:
        self._n_signals, self._dimension = n_signals, dimension
        self._vector_start = 4 * n_signals
        self._n_bytes = self._vector_start + (_SCALE_BYTES + dimension if dimension else 0)

    def packed(self, signals: FloatArray, vector: FloatArray | None, title: Sequence[str]) -> str:
        """Return the field of a document, in base64. signals: (n_signals,); title: stems of its words"""
        packed = pack_vector(vector) if self._dimension and vector is not None and vector.any() else b""
        field = np.asarray(signals, "<f4").tobytes() + packed
        return base64.b64encode(field.ljust(self._n_bytes, b"\0") + " ".join(title).encode()).decode()

    def signals(self, rows: Sequence[str]) -> FloatArray:
        """Return the (n, n_signals) signals of n documents. rows: their fields."""
        numbers = b"".join(from_base64(row)[: self._vector_start] for row in rows)
        return np.frombuffer(numbers, "<f4").reshape(len(rows), self._n_signals)

    def vectors(self, rows: Sequence[str]) -> FloatArray:
        """Return the (n, dimension) vectors of n documents, zeros for one without. rows: their fields."""
        return unpack_vectors([from_base64(row)[self._vector_start : self._n_bytes] for row in rows], self._dimension)

    def titles(self, rows: Sequence[str]) -> list[list[str]]:
        """Return the stems of n titles. rows: their fields."""
        return [from_base64(row)[self._n_bytes :].decode().split() for row in rows]


def pack_vector(vector: FloatArray) -> bytes:
    """Pack a vector: the scale, then one signed byte a dimension."""
    scale = np.float32(np.abs(vector).max() / 127)
    packed: bytes = scale.tobytes() + np.rint(vector / scale).astype(np.int8).tobytes()
    return packed


def unpack_vectors(rows: Sequence[bytes], dimension: int) -> FloatArray:
    """Return (n, dimension) what was packed; zeros for b''."""
    n_bytes = _SCALE_BYTES + dimension
    blank = bytes(n_bytes)
    table = np.frombuffer(b"".join(row or blank for row in rows), np.uint8).reshape(len(rows), n_bytes)
    scales = np.ascontiguousarray(table[:, :_SCALE_BYTES]).view(np.float32)
    vectors: FloatArray = table[:, _SCALE_BYTES:].view(np.int8).astype(np.float32) * scales
    return vectors


def from_base64(text: str) -> bytes:
    """Decode base64. The node returns it without padding."""
    return binascii.a2b_base64(text + "==")
