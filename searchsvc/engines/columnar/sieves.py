"""Sieves: FAISS indexes that select which vectors to compare exactly.

The *base* covers most rows: a product-quantized index, partitioned when it is large. Small sieves after it share its
codes, so nothing is trained for them. See docs/decisions/vectors-sieve.md and vectors-partitions.md.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

import faiss
import numpy as np

from searchsvc.engines.columnar.quantized import StoredVectors
from tuning.arrays import BoolArray, FloatArray, IntArray

# A search takes a few hundred microseconds: threads of FAISS would cost more than they save, and take the core that
# the keyword leg runs on. FAISS has one setting for the process.
faiss.omp_set_num_threads(1)

# Number of rows from which the base is partitioned. With fewer than a thousand partitions, too few rows are compared
# (recall@100 .97 with a tenth of the rows allowed).
PARTITION_FROM: Final = 262_144
ROWS_PER_PARTITION: Final = 256
# k-means for the partitions: rows per centroid, and rounds.
TRAINING_ROWS: Final = 64
TRAINING_ROUNDS: Final = 10
# Share of the partitions that are searched, by the least share of allowed rows: allowed rows are further apart.
PROBED_SHARES: Final = ((0.5, 3 / 16), (0.1, 1 / 4), (0.0, 1 / 2))
# Two dimensions share a code of four bits. The base returns this factor times k rows, more if it is partitioned:
# recall@100 is 0.99 or more.
CODE_DIMENSIONS: Final = 2
CODE_BITS: Final = 4
SIEVE_FACTOR: Final = 4
PARTITIONED_FACTOR: Final = 8
# k-means of the 16 codes: more rounds, or more rows, changed no recall.
CODE_TRAINING_ROUNDS: Final = 8
CODE_TRAINING_ROWS: Final = 65_536
# Rows that are added to a FAISS index at once.
BLOCK: Final = 16_384

log = logging.getLogger(__name__)


class Sieve:
    """Rows [start, end), and an immutable FAISS index of them.

    index: FAISS index (inner product) of the rows
    """

    def __init__(self, start: int, index: Any) -> None:
        self.start = start
        self.end = start + int(index.ntotal)
        self.index = index
        self._is_partitioned = isinstance(index, faiss.IndexIVFPQFastScan)

    def nearest(self, vector: FloatArray, k: int, allowed: BoolArray | None) -> IntArray:
        """Return allowed rows among which the k nearest are; a filter may leave fewer than k.

        allowed: (n_slots,); None if all are
        """
        size = self.end - self.start
        mask = None if allowed is None else allowed[self.start : self.end]
        share = 1.0 if mask is None else np.count_nonzero(mask) / max(size, 1)
        if not share:
            return np.empty(0, np.int64)
        n = k if self.start else k * (PARTITIONED_FACTOR if self._is_partitioned else SIEVE_FACTOR)
        if self._is_partitioned:
            _, results = self.index.search(vector[None, :], min(n, size), params=self._parameters(mask, share))
        else:
            # As many more as there would be in between if the allowed rows were spread evenly, and n again.
            n = n if mask is None else n + int(n / share)
            _, results = self.index.search(vector[None, :], min(n, size))
        rows: IntArray = results[0][results[0] >= 0]
        return (rows if mask is None else rows[mask[rows]]) + self.start

    def _parameters(self, mask: BoolArray | None, share: float) -> Any:
        probed = next(probed for least, probed in PROBED_SHARES if share >= least)
        n_probed = max(int(self.index.nlist * probed), 1)
        # The Python module adds to the constructors that its type hints describe.
        parameters: Any = faiss.SearchParametersIVF
        selector: Any = faiss.IDSelectorBitmap
        if mask is None:
            return parameters(nprobe=n_probed)
        return parameters(nprobe=n_probed, sel=selector(np.packbits(mask, bitorder="little")))


class BaseBuild:
    """Builds a base on a thread of its own. It takes seconds if there are many rows; commits go on meanwhile.

    previous: the last base, None if there is none
    """

    def __init__(self, vectors: StoredVectors, previous: Any) -> None:
        self._index: Any = None
        self._thread = threading.Thread(target=self._run, args=(vectors, previous), name="vectors", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def index(self) -> Any:
        """The FAISS index; None until it is done, and if the build failed."""
        return self._index

    def wait(self, timeout_s: float | None) -> None:
        self._thread.join(timeout_s)

    def _run(self, vectors: StoredVectors, previous: Any) -> None:
        try:
            self._index = build_base(vectors, previous)
        except Exception:
            # Searches compare more rows than necessary until the next build.
            log.exception("the base of the vectors could not be built")


def build_base(vectors: StoredVectors, previous: Any = None) -> Any:
    """Build the FAISS index (inner product) of all rows.

    previous: the last base; its centroids and codes are used again until there are four times as many rows
    """
    n, dimension = vectors.rows.shape
    if n < PARTITION_FROM:
        small = _untrained_index(dimension)
        small.train(vectors.floats(_evenly_spread(n, CODE_TRAINING_ROWS)))
        _add_all(small, vectors)
        return small
    n_lists = n_partitions(n)
    centroids = faiss.IndexFlatIP(dimension)
    index: Any = faiss.IndexIVFPQFastScan(
        centroids, dimension, n_lists, dimension // CODE_DIMENSIONS, CODE_BITS, faiss.METRIC_INNER_PRODUCT
    )
    # Codes are those of the vectors themselves, so that small sieves can share them.
    index.by_residual = False
    if isinstance(previous, faiss.IndexIVFPQFastScan) and previous.nlist == n_lists:
        centroids.add(previous.quantizer.reconstruct_n(0, n_lists))
        index.pq = previous.pq
        index.is_trained = True
    else:
        index.cp.niter = TRAINING_ROUNDS
        index.cp.spherical = True
        index.cp.max_points_per_centroid = TRAINING_ROWS
        index.pq.cp.niter = CODE_TRAINING_ROUNDS
        index.train(vectors.floats(_evenly_spread(n, TRAINING_ROWS * n_lists)))
    _add_all(index, vectors)
    return index


def tail_sieve(vectors: StoredVectors, start: int, base: Any) -> Sieve:
    """Make the sieve of the rows from start on, with the codes of the base."""
    index = _untrained_index(vectors.rows.shape[1])
    index.pq = base.pq
    index.is_trained = True
    index.add(vectors.floats(slice(start, None)))
    return Sieve(start, index)


def n_partitions(n_rows: int) -> int:
    """Return a power of four, so that centroids are trained again each time there are four times as many rows."""
    power = (n_rows // ROWS_PER_PARTITION).bit_length() - 1
    return int(2 ** (power - power % 2))


def _evenly_spread(n: int, n_max: int) -> IntArray:
    """Return at most n_max of n rows, evenly spread, so that the same rows give the same centroids."""
    return np.linspace(0, n - 1, min(n, n_max)).astype(np.int64)


def _add_all(index: Any, vectors: StoredVectors) -> None:
    for start in range(0, len(vectors.rows), BLOCK):
        index.add(vectors.floats(slice(start, start + BLOCK)))


def _untrained_index(dimension: int) -> Any:
    index: Any = faiss.IndexPQFastScan(dimension, dimension // CODE_DIMENSIONS, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = CODE_TRAINING_ROUNDS
    return index
