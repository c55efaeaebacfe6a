"""Vector candidates from FAISS, live under updates.

A large *base* and a small *delta* of immutable segments. A commit builds the delta anew from the rows past the base;
when the delta has grown too large it becomes part of a new base. Small segments are searched exhaustively in half
precision; in a large one a product quantiser that fits into the cache of a core sieves, and half precision ranks what
comes through (see docs/decisions/vectors-sieve.md).
"""

from __future__ import annotations

from typing import Any, Final

import faiss
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
# Of so few allowed rows the exact search is a matrix product.
FEW: Final = 2048
# Two dimensions share a code of four bits; four times k come through the sieve: recall@100 0.999.
SIEVE_CODE_DIMENSIONS: Final = 2
SPARE: Final = 8
SIEVE_BITS: Final = 4
SIEVE_FACTOR: Final = 4
# k-means of 16 centroids: more rounds changed no recall.
SIEVE_TRAINING_ROUNDS: Final = 8


class VectorIndex:
    """The writer's side. Row i of the column is slot i; vectors have length 1."""

    def __init__(self, dimension: int, stored: AnyArray | None = None) -> None:
        self.dimension = dimension
        self._rows = Column(np.float16, dimension, rows=stored)
        self._base: _Segment = _Segment(self._rows.view(), 0)

    def extend(self, vectors: AnyArray) -> None:
        """Append (n, dimension) vectors."""
        self._rows.extend(vectors.astype(np.float16))

    def merge(self) -> None:
        """Make all rows the base: one segment to search."""
        if len(self._rows) > self._base.end:
            self._base = _Segment(self._rows.view(), 0)

    def view(self) -> VectorView:
        rows = self._rows.view()
        n_base = self._base.end
        if len(rows) - n_base > max(MIN_DELTA, DELTA_SHARE * n_base):
            self.merge()
        segments = [self._base]
        if len(rows) > self._base.end:
            segments.append(_Segment(rows[self._base.end :], self._base.end))
        return VectorView(rows, [segment for segment in segments if segment.size])

    def store(self) -> AnyArray:
        return self._rows.view()


class VectorView:
    """The reader's side: immutable, at one commit."""

    def __init__(self, rows: AnyArray, segments: list[_Segment]) -> None:
        self._rows = rows
        self._segments = segments

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """The k allowed slots nearest to `vector`, and some more, and their cosines, in no order.

        Some more, because what is equally near should be cut off by document id and not by chance.
        allowed: (n_slots,) live and within the filters.
        """
        found = [segment.nearest(vector, k + SPARE, allowed[segment.start : segment.end]) for segment in self._segments]
        slots = np.concatenate([slots for slots, _ in found]) if found else np.empty(0, np.int64)
        return slots, self.cosines(slots, vector)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each slot's vector with `vector`: to the last bit the same, whatever else is asked for."""
        products: FloatArray = np.einsum("ij,j->i", self._rows[slots].astype(np.float32), vector)
        return products


def build_indexes(rows: AnyArray) -> tuple[Any, Any]:
    """The FAISS indexes (inner product) of (n, dimension) vectors: exact in half precision, and sieved.

    The second is quick and nearly exact, and takes no selector; None where it would not pay.
    """
    n, dimension = rows.shape
    exact: Any = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    if not n:
        return exact, None
    full = rows.astype(np.float32)
    exact.add(full)
    if n < SIEVE_FROM or dimension % SIEVE_CODE_DIMENSIONS:
        return exact, None
    n_codes = dimension // SIEVE_CODE_DIMENSIONS
    sieve: Any = faiss.IndexPQFastScan(dimension, n_codes, SIEVE_BITS, faiss.METRIC_INNER_PRODUCT)
    sieve.pq.cp.niter = SIEVE_TRAINING_ROUNDS
    sieve.train(full)
    sieve.add(full)
    sieved: Any = faiss.IndexRefine(sieve, exact)
    sieved.k_factor = SIEVE_FACTOR
    return exact, sieved


class _Segment:
    """Rows [start, start + size) as immutable FAISS indexes."""

    def __init__(self, rows: AnyArray, start: int) -> None:
        self.start = start
        self.size = len(rows)
        self.end = start + self.size
        self._rows = rows
        self.exact, self.sieved = build_indexes(rows)

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """allowed: (size,)."""
        n_allowed = int(np.count_nonzero(allowed))
        k = min(k, n_allowed)
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if n_allowed <= FEW and n_allowed < self.size:
            return self._among(np.flatnonzero(allowed), vector, k)
        rows, cosines = self._sieved(vector, k, allowed, n_allowed)
        if len(rows) < k:
            rows, cosines = self._exact(vector, k, allowed, n_allowed)
        return rows + self.start, cosines

    def _among(self, rows: IntArray, vector: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Of so few that it is cheaper to look at each."""
        cosines = self._rows[rows].astype(np.float32) @ vector
        best = np.argsort(-cosines, kind="stable")[:k]
        return rows[best] + self.start, cosines[best]

    def _sieved(self, vector: FloatArray, k: int, allowed: BoolArray, n_allowed: int) -> tuple[IntArray, FloatArray]:
        """Up to k rows through the sieve; fewer where too many of the nearest are not allowed, none without a sieve.

        Others come through it too: as many more are asked for as there would be if they were spread evenly.
        """
        wanted = k * self.size // n_allowed + (k if n_allowed < self.size else 0)
        if self.sieved is None or SIEVE_FACTOR * wanted >= self.size:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        found, found_rows = self.sieved.search(vector[None, :], wanted)
        kept = allowed[found_rows[0]] & (found_rows[0] >= 0)
        return found_rows[0][kept][:k], found[0][kept][:k]

    def _exact(self, vector: FloatArray, k: int, allowed: BoolArray, n_allowed: int) -> tuple[IntArray, FloatArray]:
        parameters: Any = None
        if n_allowed < self.size:
            # FAISS keeps a bare pointer into the bitmap: both have to live until it has answered.
            bits = np.packbits(allowed, bitorder="little")
            selector: Any = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]  # numpy is wrapped at run time
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # as above
        found, found_rows = self.exact.search(vector[None, :], k, params=parameters)
        kept = found_rows[0] >= 0
        return found_rows[0][kept], found[0][kept]
