"""Vector candidates, live under updates.

Every vector is kept as bytes. Cosines are computed from these, however a document was found. Immutable sieves of
consecutive rows select which rows to compare: a large one, the *base*, small ones for the rows added since, and a
*tail* of a few rows that are all compared. When the base has fallen behind, another is built in the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from searchsvc.engines.columnar import kernels
from searchsvc.engines.columnar.columns import Column
from searchsvc.engines.columnar.quantized import StoredVectors, quantize
from searchsvc.engines.columnar.sieves import CODE_DIMENSIONS, PARTITION_FROM, BaseBuild, Sieve, tail_sieve
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray

# As many rows or fewer are all compared: that takes less than 0.3 ms and loses no recall. The same holds for as many
# allowed rows of a larger index.
MAX_EXHAUSTIVE_ROWS: Final = 8192
# A base is built when this share of its rows has been added since.
BEHIND_SHARE: Final = 0.125
# Rows returned beyond k, so that equally near ones are cut off by document id and not by chance.
SPARE: Final = 8
# One in the fixed-point numbers of `StoredVectors.total`.
UNITS: Final = 65_536


class VectorIndex:
    """The writer's side. Row i is slot i; vectors have length 1.

    stored: the rows of a snapshot on disk
    base: a FAISS index of the first rows, as the property `base` returned it
    """

    def __init__(self, dimension: int, stored: StoredVectors | None = None, base: Any = None) -> None:
        stored = stored or StoredVectors.empty(dimension)
        self.dimension = dimension
        self._rows = Column(np.int8, dimension, rows=stored.rows)
        self._scales = Column(np.float32, rows=stored.scales)
        self._total = np.array(stored.total)
        # From row 0 on, without a gap; the first is the base.
        self._sieves: list[Sieve] = [Sieve(0, base)] if base is not None else []
        self._build: BaseBuild | None = None

    def extend(self, vectors: FloatArray) -> None:
        """Append (n, dimension) vectors. Zeros stand for a document without a vector."""
        n_before = len(self._rows)
        rows, scales = quantize(vectors)
        self._rows.extend(rows)
        self._scales.extend(scales)
        self._total += self._sum(slice(n_before, None))

    def remove(self, slots: Sequence[int]) -> None:
        """Subtract live slots from the sum of all vectors. Their rows stay."""
        self._total -= self._sum(np.array(slots, np.int64))

    def view(self) -> VectorView:
        """Return what searches read. Makes a sieve of a tail that is long, and starts a build that is due."""
        self._adopt_build()
        if self._sieves and len(self._rows) - self._sealed_end >= MAX_EXHAUSTIVE_ROWS:
            self._seal_tail()
        if self._base_is_behind:
            self._start_build()
        return VectorView(self.store(), tuple(self._sieves))

    def maintain(self, timeout_s: float | None = None) -> bool:
        """Bring the base up to all rows, or nearly all if they are many.

        timeout_s: how long to wait for a build; None waits until it is done

        Returns False if the build goes on.
        """
        n = len(self._rows)
        if self._base_is_behind or (MAX_EXHAUSTIVE_ROWS <= n < PARTITION_FROM and n > self._base_end):
            self._start_build()
        if self._build is not None:
            self._build.wait(timeout_s)
        self._adopt_build()
        return self._build is None

    def store(self) -> StoredVectors:
        """Return all rows as plain arrays."""
        return StoredVectors(self._rows.view(), self._scales.view(), self._total.copy())

    @property
    def is_building(self) -> bool:
        return self._build is not None

    @property
    def base(self) -> Any:
        """The FAISS index of the first rows, None if there is none."""
        return self._sieves[0].index if self._sieves else None

    @property
    def _base_end(self) -> int:
        return self._sieves[0].end if self._sieves else 0

    @property
    def _sealed_end(self) -> int:
        return self._sieves[-1].end if self._sieves else 0

    @property
    def _base_is_behind(self) -> bool:
        return len(self._rows) - self._base_end >= max(MAX_EXHAUSTIVE_ROWS, BEHIND_SHARE * self._base_end)

    def _start_build(self) -> None:
        if self._build is not None or self.dimension % CODE_DIMENSIONS:
            return
        if self._sieves and len(self._rows) > self._sealed_end:
            # So that the rows added during the build begin where the new base ends.
            self._seal_tail()
        self._build = BaseBuild(self.store(), self.base)

    def _adopt_build(self) -> None:
        """Replace the sieves that a finished base covers."""
        if self._build is not None and self._build.done:
            built, self._build = self._build.index, None
            if built is not None:
                later = [sieve for sieve in self._sieves if sieve.start >= built.ntotal]
                self._sieves = [Sieve(0, built), *later]

    def _seal_tail(self) -> None:
        self._sieves.append(tail_sieve(self.store(), self._sealed_end, self.base))

    def _sum(self, slots: Any) -> AnyArray:
        """(dimension,) the sum of the vectors of some slots, see `StoredVectors.total`."""
        sums: AnyArray = np.rint(self.store().floats(slots) * UNITS).astype(np.int64).sum(axis=0)
        return sums


class VectorView:
    """The reader's side: the rows of one snapshot.

    sieves: from row 0 on, without a gap; the rows after them are the tail
    """

    def __init__(self, vectors: StoredVectors, sieves: tuple[Sieve, ...]) -> None:
        self._vectors = vectors
        self._sieves = sieves

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """Find the k nearest allowed slots, and a few more.

        allowed: (n_slots,)

        Returns slots and their cosines, in no order.
        """
        k += SPARE
        rows = self._candidates(vector, k, allowed)
        cosines = self.cosines(rows, vector)
        if len(rows) > k:
            best = np.argpartition(-cosines, k - 1)[:k]
            return rows[best], cosines[best]
        return rows, cosines

    def _candidates(self, vector: FloatArray, k: int, allowed: BoolArray) -> IntArray:
        """Return allowed rows among which the k nearest are; all allowed rows if they are few."""
        end = self._sieves[-1].end if self._sieves else 0
        n_allowed = int(np.count_nonzero(allowed[:end]))
        if n_allowed == end or n_allowed > MAX_EXHAUSTIVE_ROWS:
            mask = None if n_allowed == end else allowed
            parts = [sieve.nearest(vector, k, mask) for sieve in self._sieves]
            parts.append(np.flatnonzero(allowed[end:]) + end)
            rows = np.concatenate(parts)
            if len(rows) >= min(k, n_allowed):
                return rows
        return np.flatnonzero(allowed)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """Return (n,) the cosine of each slot's vector with a query vector.

        A cosine is the same to the last bit, whichever other slots it is computed with.
        """
        cosines = np.empty(len(slots), np.float32)
        kernels.cosines(self._vectors.rows, self._vectors.scales, slots, vector, cosines)
        return cosines

    def mean_cosine(self, vector: FloatArray, n_live: int) -> float:
        """Return the mean cosine of all live documents with a query vector: what chance would find."""
        return float(self._vectors.total @ vector.astype(np.float64)) / (UNITS * max(n_live, 1))

    def vectors(self, slots: IntArray) -> FloatArray:
        """Return the (n, dimension) vectors of slots, zeros for one without."""
        return self._vectors.floats(slots)
