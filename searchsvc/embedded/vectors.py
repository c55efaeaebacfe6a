"""Vector candidates from FAISS, live under updates.

Every vector is kept as bytes with a scale of its own: cosines are worked out from these, whichever way a document was
found. A large *base* and a small *delta* of immutable segments find them. A commit builds the delta anew from the
rows past the base; when the delta has grown too large it becomes part of a new base. Small segments are searched
exhaustively; in a large one a product quantiser that fits into the cache of a core sieves (see
docs/decisions/vectors-sieve.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import faiss
import msgspec
import numpy as np

from searchsvc.arrays import AnyArray, BoolArray, FloatArray, IntArray
from searchsvc.embedded.columns import Column

# A search is a few hundred microseconds: threads of FAISS's own would cost more than they bring, and take the core
# that the keyword leg runs on.
faiss.omp_set_num_threads(1)

MIN_DELTA: Final = 2048
DELTA_SHARE: Final = 0.125

# Below this many rows an exhaustive search costs less than 0.3 ms and has no recall to lose.
SIEVE_FROM: Final = 8192
# Of so few allowed rows it is cheaper to look at each.
FEW: Final = 4096
BLOCK: Final = 2048
WHOLE: Final = 65_536
# Two dimensions share a code of four bits; four times k come through the sieve: recall@100 0.99 or more.
SIEVE_CODE_DIMENSIONS: Final = 2
SIEVE_BITS: Final = 4
SIEVE_FACTOR: Final = 4
# k-means of 16 centroids: more rounds changed no recall.
SIEVE_TRAINING_ROUNDS: Final = 8
# More than k, so that what is equally near is cut off by document id and not by chance.
SPARE: Final = 8


class StoredVectors(msgspec.Struct, frozen=True):
    """rows: (n_slots, dimension) bytes. scales: (n_slots,). A vector is its row times its scale.

    total: (dimension,) the sum of all live vectors, as whole numbers of 2^-16: so the order of the sum does not matter.
    """

    rows: AnyArray
    scales: AnyArray
    total: AnyArray

    @staticmethod
    def empty(dimension: int) -> StoredVectors:
        return StoredVectors(np.empty((0, dimension), np.int8), np.empty(0, np.float32), np.zeros(dimension, np.int64))


class VectorIndex:
    """The writer's side. Row i of the columns is slot i; vectors have length 1."""

    def __init__(self, dimension: int, stored: StoredVectors | None = None) -> None:
        if stored is None:
            stored = StoredVectors.empty(dimension)
        self.dimension = dimension
        self._rows = Column(np.int8, dimension, rows=stored.rows)
        self._scales = Column(np.float32, rows=stored.scales)
        self._total = np.array(stored.total)
        self._base = _Segment(self._vectors(), 0)

    def extend(self, vectors: FloatArray) -> None:
        """Append (n, dimension) vectors; one of only zeros is no vector."""
        scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-9) / 127.0
        n_before = len(self._rows)
        self._rows.extend(np.rint(vectors / scales[:, None]).astype(np.int8))
        self._scales.extend(scales.astype(np.float32))
        self._total += self._whole(slice(n_before, None))

    def remove(self, slots: Sequence[int]) -> None:
        """Take live slots out of the sum. Their rows stay."""
        self._total -= self._whole(np.array(slots, np.int64))

    def _whole(self, slots: Any) -> AnyArray:
        """(dimension,) the sum of some slots' vectors, in whole numbers."""
        vectors = self._rows.view()[slots].astype(np.float32) * self._scales.view()[slots, None]
        sums: AnyArray = np.rint(vectors * WHOLE).astype(np.int64).sum(axis=0)
        return sums

    def merge(self) -> None:
        """Make all rows the base: one segment to search."""
        if len(self._rows) > self._base.end:
            self._base = _Segment(self._vectors(), 0)

    def view(self) -> VectorView:
        vectors = self._vectors()
        n_base = self._base.end
        if len(vectors.rows) - n_base > max(MIN_DELTA, DELTA_SHARE * n_base):
            self.merge()
        segments = [self._base]
        if len(vectors.rows) > self._base.end:
            segments.append(_Segment(vectors, self._base.end))
        return VectorView(vectors, [segment for segment in segments if segment.size])

    def store(self) -> StoredVectors:
        return self._vectors()

    def _vectors(self) -> StoredVectors:
        return StoredVectors(self._rows.view(), self._scales.view(), self._total.copy())


class VectorView:
    """The reader's side: immutable, at one commit."""

    def __init__(self, vectors: StoredVectors, segments: list[_Segment]) -> None:
        self._vectors = vectors
        self._segments = segments

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """The k allowed slots nearest to `vector`, and some more, and their cosines, in no order.

        allowed: (n_slots,) live and within the filters.
        """
        found = [segment.nearest(vector, k + SPARE, allowed[segment.start : segment.end]) for segment in self._segments]
        slots = np.concatenate(found) if found else np.empty(0, np.int64)
        return slots, self.cosines(slots, vector)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each slot's vector with `vector`: to the last bit the same, whatever else is asked for."""
        return _products(self._vectors, slots, vector)

    def mean_cosine(self, vector: FloatArray, n_live: int) -> float:
        """Of all live documents with `vector`: what chance would find."""
        return float(self._vectors.total @ vector.astype(np.float64)) / (WHOLE * max(n_live, 1))

    def vector(self, slot: int) -> FloatArray | None:
        """(dimension,) of a slot; None where it has none."""
        vector: FloatArray = self._vectors.rows[slot].astype(np.float32) * self._vectors.scales[slot]
        return vector if vector.any() else None


def _products(vectors: StoredVectors, slots: IntArray, vector: FloatArray) -> FloatArray:
    # einsum goes row by row; a matrix product would round differently for another number of rows.
    products: FloatArray = np.einsum("ij,j->i", vectors.rows[slots].astype(np.float32), vector) * vectors.scales[slots]
    return products


def build_index(rows: FloatArray) -> Any:
    """The FAISS index (inner product) that finds among (n, dimension) vectors: exhaustive, or a sieve of many."""
    n, dimension = rows.shape
    if n < SIEVE_FROM or dimension % SIEVE_CODE_DIMENSIONS:
        exact: Any = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        exact.add(rows)
        return exact
    n_codes = dimension // SIEVE_CODE_DIMENSIONS
    sieve: Any = faiss.IndexPQFastScan(dimension, n_codes, SIEVE_BITS, faiss.METRIC_INNER_PRODUCT)
    sieve.pq.cp.niter = SIEVE_TRAINING_ROUNDS
    sieve.train(rows)
    sieve.add(rows)
    return sieve


class _Segment:
    """Slots [start, start + size) of some vectors, and an immutable FAISS index of them."""

    def __init__(self, vectors: StoredVectors, start: int) -> None:
        self.start = start
        self.end = len(vectors.rows)
        self.size = self.end - start
        self._vectors = StoredVectors(vectors.rows[start:], vectors.scales[start:], vectors.total)
        if self.size:
            self._index = build_index(self._vectors.rows.astype(np.float32) * self._vectors.scales[:, None])
            self._sieves = not isinstance(self._index, faiss.IndexScalarQuantizer)

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> IntArray:
        """The k nearest of the allowed, and perhaps more; all where there are fewer. allowed: (size,)."""
        n_allowed = int(np.count_nonzero(allowed))
        k = min(k, n_allowed)
        if k == 0:
            return np.empty(0, np.int64)
        if n_allowed < self.size and n_allowed <= FEW:
            rows = self._among(np.flatnonzero(allowed), vector, k)
        else:
            rows = self._found(vector, k, allowed, n_allowed)
            if len(rows) < k:
                rows = self._among(np.flatnonzero(allowed), vector, k)
        return rows + self.start

    def _found(self, vector: FloatArray, k: int, allowed: BoolArray, n_allowed: int) -> IntArray:
        """Rows from the index, those that are not allowed left out: fewer than k where too many of the nearest are.

        So many more are asked for as there would be in between if the allowed were spread evenly, and again as many.
        """
        wanted = k if n_allowed == self.size else k + k * self.size // n_allowed
        wanted *= SIEVE_FACTOR if self._sieves else 1
        if n_allowed < self.size and wanted > self.size // 2:
            return np.empty(0, np.int64)
        _, found = self._index.search(vector[None, :], min(wanted, self.size))
        rows: IntArray = found[0][found[0] >= 0]
        return rows if n_allowed == self.size else rows[allowed[rows]]

    def _among(self, rows: IntArray, vector: FloatArray, k: int) -> IntArray:
        """The k nearest of some rows, each looked at."""
        blocks = [_products(self._vectors, rows[at : at + BLOCK], vector) for at in range(0, len(rows), BLOCK)]
        cosines = np.concatenate(blocks)
        return rows[np.argpartition(-cosines, k - 1)[:k]]
