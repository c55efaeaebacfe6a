"""What the embedded engine does to be quick: a sieve for vectors, a keyword index written anew beside its writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchsvc.arrays import BoolArray, FloatArray, IntArray
from searchsvc.embedded import storage
from searchsvc.embedded.vectors import SIEVE_FROM, VectorIndex
from searchsvc.engine import Delete
from tests.factories import SETTINGS, engine, upsert

DIMENSION = 32
N = SIEVE_FROM + 500
K = 100


def clustered(n: int, seed: int) -> FloatArray:
    """Vectors of length 1 around forty centres, as those of a catalogue are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, DIMENSION))
    drawn = centres[rng.integers(0, 40, n)] + 0.7 * rng.normal(size=(n, DIMENSION))
    unit: FloatArray = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


ROWS = clustered(N, 1)
QUERIES = clustered(50, 2)


def exact(query: FloatArray, live: BoolArray, k: int = K) -> IntArray:
    slots = np.flatnonzero(live)
    return slots[np.argsort(-(ROWS[slots] @ query), kind="stable")[:k]]


def index(dimension: int = DIMENSION) -> VectorIndex:
    made = VectorIndex(dimension)
    made.extend(ROWS[:, :dimension])
    return made


@pytest.mark.parametrize("live_share", [1.0, 0.9, 0.4, 0.01, 0.0])
def test_the_sieve_finds_the_nearest_live_vectors(live_share: float) -> None:
    live = np.random.default_rng(3).random(N) < live_share
    view = index().view(live)
    recalls = []
    for query in QUERIES:
        slots, cosines = view.nearest(query, K)
        wanted = exact(query, live)
        assert len(slots) == len(wanted)
        assert live[slots].all()
        assert (np.diff(cosines) <= 0).all()
        np.testing.assert_allclose(cosines, ROWS[slots] @ query, atol=2e-3)
        recalls.append(len(set(slots) & set(wanted)) / max(len(wanted), 1))
    assert live_share == 0.0 or np.mean(recalls) >= 0.98


def test_where_the_nearest_are_dead_the_next_are_found_all_the_same() -> None:
    query = QUERIES[0]
    live = np.ones(N, np.bool_)
    live[exact(query, live, 3 * K)] = False
    slots, _ = index().view(live).nearest(query, K)
    assert len(set(slots) & set(exact(query, live))) >= 0.98 * K


def test_a_dimension_that_cannot_be_paired_is_searched_exhaustively() -> None:
    rows = ROWS[:, : DIMENSION - 1]
    slots, _ = index(DIMENSION - 1).view(np.ones(N, np.bool_)).nearest(QUERIES[0][: DIMENSION - 1], 10)
    assert set(slots) == set(np.argsort(-(rows @ QUERIES[0][: DIMENSION - 1]))[:10])


def test_a_keyword_index_written_anew_answers_as_the_old_one_did(tmp_path: Path) -> None:
    made = engine(tmp_path)
    for seq in range(1, 7):
        made.apply([upsert(f"{seq}{i}", f"red shoe number{i}", "text") for i in range(4)], seq)
    n_before = made.keyword_index.n_segments
    rebuilt = made.rebuild_keyword(lambda: False)
    assert rebuilt is not None
    # What is written meanwhile is in the result, deletions and new versions too.
    made.apply([Delete("10"), upsert("21", "blue shoe"), upsert("new", "green shoe")], 7)
    old = made.snapshot()
    new = made.adopt_keyword(rebuilt)
    assert made.keyword_index.n_segments < n_before
    assert not (made.folder / "tantivy").exists()
    for terms in (("red",), ("shoe",), ("blue",), ("green",), ("number1", "text")):
        was, now = old.keyword(terms, {}, 50), new.keyword(terms, {}, 50)
        assert sorted(old.id(int(slot)) for slot in was.slots) == sorted(new.id(int(slot)) for slot in now.slots)
        assert was.total == now.total
    assert new.catalog_seq == 7
    made.apply([upsert("last", "purple shoe")], 8)
    assert made.snapshot().keyword(("purpl",), {}, 5).total == 1
    again = storage.load(storage.save(made, tmp_path, "m"), tmp_path, SETTINGS, "m")
    assert again is not None
    assert again.snapshot().keyword(("shoe",), {}, 50).total == made.snapshot().keyword(("shoe",), {}, 50).total


def test_writing_the_keyword_index_anew_can_be_stopped(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert("1", "red shoe")])
    assert made.rebuild_keyword(lambda: True) is None
    assert [p.name for p in made.folder.glob("tantivy*")] == ["tantivy"]
    assert made.snapshot().keyword(("red",), {}, 5).total == 1
