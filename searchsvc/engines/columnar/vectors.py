"""Vector candidates from FAISS, live under updates.

Every vector is kept as bytes with a scale of its own: cosines are worked out from these, whichever way a document was
found. Immutable *segments* of consecutive rows narrow down which of them to look at: a large one, the *base*, small
ones for the rows since then, and a *tail* of few rows that are each looked at. Once the base has fallen behind, a new
one is built beside it. See docs/decisions/vectors-sieve.md and vectors-partitions.md.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

import faiss
import msgspec
import numpy as np

from searchsvc.engines.columnar import kernels
from searchsvc.engines.columnar.columns import Column
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray

# A search is a few hundred microseconds: threads of FAISS's own would cost more than they bring, and take the core
# that the keyword leg runs on.
faiss.omp_set_num_threads(1)

# Fewer rows than this are each looked at: that costs less than 0.3 ms, and has no recall to lose. So are fewer allowed
# ones, of however many.
FEW: Final = 8192
# A new base is built once so many of its rows have come since.
BEHIND_SHARE: Final = 0.125
# From so many rows on, the base is partitioned: into fewer than a thousand, too little would be looked through
# (recall@100 .97 with a tenth allowed).
PARTITION_FROM: Final = 262_144
ROWS_A_PARTITION: Final = 256
# Centroids are found from so many rows each, in so many rounds.
TRAINING_ROWS: Final = 64
TRAINING_ROUNDS: Final = 10
# Which part of the partitions is looked through, by the share of the rows that are allowed: these are further apart.
PROBED: Final = ((0.5, 3 / 16), (0.1, 1 / 4), (0.0, 1 / 2))
# Two dimensions share a code of four bits; so many times k come through the base, more of very many rows: recall@100
# 0.99 or more.
CODE_DIMENSIONS: Final = 2
CODE_BITS: Final = 4
SIEVE_FACTOR: Final = 4
PARTITIONED_FACTOR: Final = 8
# k-means of 16 centroids: more rounds, or more rows, changed no recall.
CODE_TRAINING_ROUNDS: Final = 8
CODE_TRAINING_ROWS: Final = 65_536
# More than k, so that what is equally near is cut off by document id and not by chance.
SPARE: Final = 8
WHOLE: Final = 65_536
BLOCK: Final = 16_384

log = logging.getLogger(__name__)


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

    def floats(self, slots: Any) -> FloatArray:
        """(n, dimension) of some slots."""
        vectors: FloatArray = self.rows[slots].astype(np.float32) * self.scales[slots, None]
        return vectors


class VectorIndex:
    """The writer's side. Row i of the columns is slot i; vectors have length 1.

    base: a FAISS index of the first so many rows, as `base` gave it.
    """

    def __init__(self, dimension: int, stored: StoredVectors | None = None, base: Any = None) -> None:
        stored = stored or StoredVectors.empty(dimension)
        self.dimension = dimension
        self._rows = Column(np.int8, dimension, rows=stored.rows)
        self._scales = Column(np.float32, rows=stored.scales)
        self._total = np.array(stored.total)
        # From row 0 on, without a gap; the first is the base.
        self._segments: list[_Segment] = [_Segment(0, base)] if base is not None else []
        self._build: _Build | None = None

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

    def view(self) -> VectorView:
        self._take_over()
        if self._segments and len(self._rows) - self._end >= FEW:
            self._seal()
        if self._far_behind:
            self._start_build()
        return VectorView(self._vectors(), tuple(self._segments))

    def settle(self, patience_s: float | None = None) -> bool:
        """Bring the base up to all rows, or near enough where they are many. Returns whether it is done.

        patience_s: how long to wait for what is built beside; None for as long as it takes.
        """
        n = len(self._rows)
        if self._far_behind or (FEW <= n < PARTITION_FROM and n > self._base_end):
            self._start_build()
        if self._build is not None:
            self._build.wait(patience_s)
        self._take_over()
        return self._build is None

    def store(self) -> StoredVectors:
        return self._vectors()

    @property
    def building(self) -> bool:
        return self._build is not None

    @property
    def base(self) -> Any:
        """The FAISS index of the first rows, None while there is none."""
        return self._segments[0].index if self._segments else None

    @property
    def _base_end(self) -> int:
        return self._segments[0].end if self._segments else 0

    @property
    def _end(self) -> int:
        return self._segments[-1].end if self._segments else 0

    @property
    def _far_behind(self) -> bool:
        """Whether so many rows have come since the base that a new one is worth it."""
        return len(self._rows) - self._base_end >= max(FEW, BEHIND_SHARE * self._base_end)

    def _start_build(self) -> None:
        if self._build is not None or self.dimension % CODE_DIMENSIONS:
            return
        if self._segments and len(self._rows) > self._end:
            # So that what comes meanwhile begins where the new base will end.
            self._seal()
        self._build = _Build(self._vectors(), self.base)

    def _take_over(self) -> None:
        """Put a base that is ready in the place of all that it covers."""
        if self._build is not None and self._build.done:
            built, self._build = self._build.result, None
            if built is not None:
                later = [segment for segment in self._segments if segment.start >= built.ntotal]
                self._segments = [_Segment(0, built), *later]

    def _seal(self) -> None:
        """Make the tail a segment, with the codes of the base: nothing to train."""
        start = self._end
        index = _untrained_sieve(self.dimension)
        index.pq = self.base.pq
        index.is_trained = True
        index.add(self._vectors().floats(slice(start, None)))
        self._segments.append(_Segment(start, index))

    def _whole(self, slots: Any) -> AnyArray:
        """(dimension,) the sum of some slots' vectors, in whole numbers."""
        sums: AnyArray = np.rint(self._vectors().floats(slots) * WHOLE).astype(np.int64).sum(axis=0)
        return sums

    def _vectors(self) -> StoredVectors:
        return StoredVectors(self._rows.view(), self._scales.view(), self._total.copy())


class VectorView:
    """The reader's side: immutable, at one commit."""

    def __init__(self, vectors: StoredVectors, segments: tuple[_Segment, ...]) -> None:
        self._vectors = vectors
        self._segments = segments

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray) -> tuple[IntArray, FloatArray]:
        """The k allowed slots nearest to `vector`, and some more, and their cosines, in no order.

        allowed: (n_slots,) live and within the filters.
        """
        k += SPARE
        rows = self._candidates(vector, k, allowed)
        cosines = self.cosines(rows, vector)
        if len(rows) > k:
            best = np.argpartition(-cosines, k - 1)[:k]
            return rows[best], cosines[best]
        return rows, cosines

    def _candidates(self, vector: FloatArray, k: int, allowed: BoolArray) -> IntArray:
        """Allowed rows among which the k nearest are; all of them where there are few."""
        end = self._segments[-1].end if self._segments else 0
        n_allowed = int(np.count_nonzero(allowed[:end]))
        if n_allowed == end or n_allowed > FEW:
            selected = None if n_allowed == end else allowed
            found = [segment.nearest(vector, k, selected) for segment in self._segments]
            found.append(np.flatnonzero(allowed[end:]) + end)
            rows = np.concatenate(found)
            if len(rows) >= min(k, n_allowed):
                return rows
        return np.flatnonzero(allowed)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        """(n,) cosine of each slot's vector with `vector`: to the last bit the same, whatever else is asked for."""
        found = np.empty(len(slots), np.float32)
        kernels.cosines(self._vectors.rows, self._vectors.scales, slots, vector, found)
        return found

    def mean_cosine(self, vector: FloatArray, n_live: int) -> float:
        """Of all live documents with `vector`: what chance would find."""
        return float(self._vectors.total @ vector.astype(np.float64)) / (WHOLE * max(n_live, 1))

    def vector(self, slot: int) -> FloatArray | None:
        """(dimension,) of a slot; None where it has none."""
        vector = self._vectors.floats([slot])[0]
        return vector if vector.any() else None


class _Segment:
    """Rows [start, end), and an immutable FAISS index that lets the nearest of them through."""

    def __init__(self, start: int, index: Any) -> None:
        self.start = start
        self.end = start + int(index.ntotal)
        self.index = index
        self._partitioned = isinstance(index, faiss.IndexIVFPQFastScan)

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray | None) -> IntArray:
        """Rows among which the k nearest are, those that are not allowed left out: perhaps fewer than k.

        allowed: (n_slots,); None where all are.
        """
        size = self.end - self.start
        within = None if allowed is None else allowed[self.start : self.end]
        share = 1.0 if within is None else np.count_nonzero(within) / max(size, 1)
        if not share:
            return np.empty(0, np.int64)
        wanted = k if self.start else k * (PARTITIONED_FACTOR if self._partitioned else SIEVE_FACTOR)
        if self._partitioned:
            _, found = self.index.search(vector[None, :], min(wanted, size), params=self._probe(within, share))
        else:
            # So many more as there would be in between if the allowed were spread evenly, and again as many.
            wanted = wanted if within is None else wanted + int(wanted / share)
            _, found = self.index.search(vector[None, :], min(wanted, size))
        rows: IntArray = found[0][found[0] >= 0]
        return (rows if within is None else rows[within[rows]]) + self.start

    def _probe(self, within: BoolArray | None, share: float) -> Any:
        part = next(part for least, part in PROBED if share >= least)
        n_probed = max(int(self.index.nlist * part), 1)
        # As the Python module has them; its type hints tell of the C++ below.
        parameters: Any = faiss.SearchParametersIVF
        selector: Any = faiss.IDSelectorBitmap
        if within is None:
            return parameters(nprobe=n_probed)
        return parameters(nprobe=n_probed, sel=selector(np.packbits(within, bitorder="little")))


class _Build:
    """A base being built on a thread of its own: where it takes seconds, commits go on meanwhile."""

    def __init__(self, vectors: StoredVectors, before: Any) -> None:
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(vectors, before), name="vectors", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, patience_s: float | None) -> None:
        self._thread.join(patience_s)

    def _run(self, vectors: StoredVectors, before: Any) -> None:
        try:
            self.result = build_base(vectors, before)
        except Exception:
            # Searches look at more rows than they need to until the next one is due.
            log.exception("the vectors' base could not be built")


def build_base(vectors: StoredVectors, before: Any = None) -> Any:
    """The FAISS index (inner product) that lets the nearest of all rows through.

    before: the last base. What it was trained to know still holds until there are four times as many rows.
    """
    n, dimension = vectors.rows.shape
    if n < PARTITION_FROM:
        sieve = _untrained_sieve(dimension)
        sieve.train(vectors.floats(_spread(n, CODE_TRAINING_ROWS)))
        _add_all(sieve, vectors)
        return sieve
    n_lists = n_partitions(n)
    centroids = faiss.IndexFlatIP(dimension)
    index: Any = faiss.IndexIVFPQFastScan(
        centroids, dimension, n_lists, dimension // CODE_DIMENSIONS, CODE_BITS, faiss.METRIC_INNER_PRODUCT
    )
    # Codes of the vectors themselves, so that small segments can share them.
    index.by_residual = False
    if isinstance(before, faiss.IndexIVFPQFastScan) and before.nlist == n_lists:
        centroids.add(before.quantizer.reconstruct_n(0, n_lists))
        index.pq = before.pq
        index.is_trained = True
    else:
        index.cp.niter = TRAINING_ROUNDS
        index.cp.spherical = True
        index.cp.max_points_per_centroid = TRAINING_ROWS
        index.pq.cp.niter = CODE_TRAINING_ROUNDS
        index.train(vectors.floats(_spread(n, TRAINING_ROWS * n_lists)))
    _add_all(index, vectors)
    return index


def _spread(n: int, most: int) -> IntArray:
    """At most so many of n rows, evenly spread, so that the same rows give the same centroids."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def _add_all(index: Any, vectors: StoredVectors) -> None:
    for at in range(0, len(vectors.rows), BLOCK):
        index.add(vectors.floats(slice(at, at + BLOCK)))


def _untrained_sieve(dimension: int) -> Any:
    sieve: Any = faiss.IndexPQFastScan(dimension, dimension // CODE_DIMENSIONS, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    sieve.pq.cp.niter = CODE_TRAINING_ROUNDS
    return sieve


def n_partitions(n_rows: int) -> int:
    """A power of four, so that centroids are found again each time there are four times as many rows."""
    power = (n_rows // ROWS_A_PARTITION).bit_length() - 1
    return int(2 ** (power - power % 2))
