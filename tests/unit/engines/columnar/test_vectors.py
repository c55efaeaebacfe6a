"""Vectors: sieves find nearly all of the nearest, cosines are exact, and updates are seen at once."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from searchsvc.engines.columnar.quantized import StoredVectors, quantize
from searchsvc.engines.columnar.sieves import PARTITION_FROM, build_base, n_partitions
from searchsvc.engines.columnar.vectors import MAX_EXHAUSTIVE_ROWS, VectorIndex, VectorView
from searchsvc.engines.embedded import storage
from tuning.arrays import BoolArray, FloatArray, IntArray

DIMENSION = 32
N = MAX_EXHAUSTIVE_ROWS + 500
K = 100


def clustered(n: int, seed: int, n_centres: int = 40) -> FloatArray:
    """Return vectors of length 1 in clusters, like those of a catalogue."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(n_centres, DIMENSION))
    drawn = centres[rng.integers(0, n_centres, n)] + 0.7 * rng.normal(size=(n, DIMENSION))
    unit: FloatArray = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


ROWS = clustered(N, 1)
QUERIES = clustered(50, 2)


def exact(query: FloatArray, live: BoolArray, k: int = K) -> IntArray:
    slots = np.flatnonzero(live)
    return slots[np.argsort(-(ROWS[slots] @ query), kind="stable")[:k]]


def index(dimension: int = DIMENSION) -> VectorIndex:
    vectors = VectorIndex(dimension)
    vectors.extend(ROWS[:, :dimension])
    assert vectors.maintain()
    return vectors


def nearest(view: VectorView, query: FloatArray, live: BoolArray, k: int = K) -> tuple[IntArray, FloatArray]:
    """Return the k best of the slots that a view returns."""
    slots, cosines = view.nearest(query, k, live)
    best = np.argsort(-cosines, kind="stable")[:k]
    return slots[best], cosines[best]


@pytest.mark.parametrize("live_share", [1.0, 0.9, 0.4, 0.01, 0.0])
def test_the_sieve_finds_the_nearest_live_vectors(live_share: float) -> None:
    live = np.random.default_rng(3).random(N) < live_share
    view = index().view()
    recalls = []
    for query in QUERIES:
        slots, cosines = nearest(view, query, live)
        expected = exact(query, live)
        assert len(slots) == len(expected)
        assert live[slots].all()
        np.testing.assert_allclose(cosines, ROWS[slots] @ query, atol=5e-3)
        recalls.append(len(set(slots) & set(expected)) / max(len(expected), 1))
    assert live_share == 0.0 or np.mean(recalls) >= 0.98


def test_dead_neighbours_are_replaced_by_the_next_nearest() -> None:
    query = QUERIES[0]
    live = np.ones(N, np.bool_)
    live[exact(query, live, 3 * K)] = False
    slots, _ = nearest(index().view(), query, live)
    assert len(set(slots) & set(exact(query, live))) >= 0.98 * K


def test_an_odd_dimension_is_searched_exhaustively() -> None:
    slots, _ = nearest(index(DIMENSION - 1).view(), QUERIES[0][: DIMENSION - 1], np.ones(N, np.bool_), 10)
    expected = np.argsort(-(ROWS[:, : DIMENSION - 1] @ QUERIES[0][: DIMENSION - 1]))[:10]
    assert len(set(slots) & set(expected)) >= 9


def test_a_large_base_is_partitioned_and_vectors_added_since_are_found(tmp_path: Path) -> None:
    rows = clustered(PARTITION_FROM + 4 * MAX_EXHAUSTIVE_ROWS, 4, n_centres=110)
    vectors = VectorIndex(DIMENSION)

    def check(view: VectorView, n: int, share: float = 1.0) -> None:
        """Nine in ten of the nearest are found, although codes cannot order vectors within these clusters; of
        those added after the base, nearly all."""
        allowed = np.random.default_rng(6).random(n) < share
        cosines = np.where(allowed, QUERIES @ rows[:n].T, -np.inf)
        hits, later = [], []
        for query, row in zip(QUERIES, cosines, strict=True):
            expected = np.argpartition(-row, K)[:K]
            slots, _ = nearest(view, query, allowed)
            assert allowed[slots].all()
            hits += [slot in slots for slot in expected]
            later += [slot in slots for slot in expected if slot >= vectors.base.ntotal]
        assert np.mean(hits) >= 0.9, (n, share)
        assert np.mean(later or [True]) >= 0.97, (n, share)

    vectors.extend(rows[:PARTITION_FROM])
    vectors.view()
    assert vectors.maintain()
    assert isinstance(vectors.base, faiss.IndexIVFPQFastScan)
    # Beyond the base: a sieve of its own, then a tail.
    for end in (PARTITION_FROM + MAX_EXHAUSTIVE_ROWS, PARTITION_FROM + MAX_EXHAUSTIVE_ROWS + 100):
        vectors.extend(rows[len(vectors.store().rows) : end])
        view = vectors.view()
        for share in (1.0, 0.6, 0.2, 0.1, 0.01):
            check(view, end, share)
    # A base that was written and mapped, and one that is built after it with the same centroids.
    (tmp_path / storage.VECTOR_BASE).write_bytes(faiss.serialize_index(vectors.base).data)
    again = VectorIndex(DIMENSION, vectors.store(), storage.vector_base(tmp_path))
    check(again.view(), PARTITION_FROM + MAX_EXHAUSTIVE_ROWS + 100)
    again.extend(rows[PARTITION_FROM + MAX_EXHAUSTIVE_ROWS + 100 :])
    again.view()
    assert again.maintain()
    assert again.base.ntotal == len(rows)
    vectors = again
    check(again.view(), len(rows))


def test_a_cosine_does_not_depend_on_the_slots_it_is_computed_with() -> None:
    view = index().view()
    together = view.cosines(np.arange(200), QUERIES[0])
    alone = np.concatenate([view.cosines(np.array([slot]), QUERIES[0]) for slot in range(200)])
    assert together.tobytes() == alone.tobytes()
    np.testing.assert_allclose(together, ROWS[:200] @ QUERIES[0], atol=5e-3)


def test_the_mean_cosine_is_that_of_live_vectors_in_whatever_order_they_were_added() -> None:
    forwards, backwards = VectorIndex(DIMENSION), VectorIndex(DIMENSION)
    forwards.extend(ROWS[:100])
    for row in ROWS[:100][::-1]:
        backwards.extend(row[None, :])
    forwards.remove(range(50))
    backwards.remove(range(50, 100))
    mean = forwards.view().mean_cosine(QUERIES[0], 50)
    assert mean == backwards.view().mean_cosine(QUERIES[0], 50)
    assert mean == pytest.approx(float((ROWS[50:100] @ QUERIES[0]).mean()), abs=5e-3)


def test_a_document_without_a_vector_has_none() -> None:
    vectors = VectorIndex(DIMENSION)
    vectors.extend(np.stack([ROWS[0], np.zeros(DIMENSION, np.float32)]))
    first, second = vectors.view().vectors(np.array([0, 1]))
    np.testing.assert_allclose(first, ROWS[0], atol=5e-3)
    assert not second.any()


def test_a_build_goes_on_in_the_background_and_is_adopted_when_it_is_done() -> None:
    vectors = VectorIndex(DIMENSION)
    vectors.extend(ROWS)
    vectors.view()
    assert vectors.is_building
    assert vectors.base is None
    vectors.extend(ROWS[:10])
    assert vectors.maintain()
    assert not vectors.is_building
    assert vectors.base.ntotal in (N, N + 10)


def test_the_same_rows_give_the_same_base() -> None:
    stored = index().store()
    bases = [build_base(stored) for _ in range(2)]
    assert bases[0].ntotal == len(stored.rows)
    results = [base.search(QUERIES[:5], 20)[1].tolist() for base in bases]
    assert results[0] == results[1]


def test_a_partition_has_a_few_hundred_rows_and_partitions_are_a_power_of_four() -> None:
    assert [n_partitions(n) for n in (PARTITION_FROM, 4 * PARTITION_FROM - 1, 4 * PARTITION_FROM)] == [1024, 1024, 4096]


def test_quantized_vectors_are_within_half_a_step() -> None:
    rows, scales = quantize(ROWS[:50])
    stored = StoredVectors(rows, scales, np.zeros(DIMENSION, np.int64))
    assert (np.abs(stored.floats(slice(None)) - ROWS[:50]) <= scales[:, None] * 0.5001).all()
    assert StoredVectors.empty(DIMENSION).floats(slice(None)).shape == (0, DIMENSION)
