"""Vectors quantized to bytes, each with a scale of its own."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from tuning.arrays import AnyArray, FloatArray


class StoredVectors(msgspec.Struct, frozen=True):
    """Vectors as plain arrays. A vector is its row times its scale.

    rows: (n_slots, dimension) bytes
    scales: (n_slots,)
    total: (dimension,) sum of all live vectors in units of 1 / `vectors.UNITS`: an integer, so that the order in which
        vectors were added does not change it
    """

    rows: AnyArray
    scales: AnyArray
    total: AnyArray

    @staticmethod
    def empty(dimension: int) -> StoredVectors:
        return StoredVectors(np.empty((0, dimension), np.int8), np.empty(0, np.float32), np.zeros(dimension, np.int64))

    def floats(self, slots: Any) -> FloatArray:
        """Return (n, dimension) the vectors of some slots, as numpy selects them."""
        vectors: FloatArray = self.rows[slots].astype(np.float32) * self.scales[slots, None]
        return vectors


def quantize(vectors: FloatArray) -> tuple[AnyArray, AnyArray]:
    """Return (n, dimension) rows of bytes and (n,) their scales."""
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-9) / 127.0
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales.astype(np.float32)
