"""What the embedded engine does to be quick: a sieve for vectors, runs of postings, columns of attributes."""

from __future__ import annotations

import threading
from pathlib import Path

import faiss
import msgspec
import numpy as np
import pytest

from events.settings import Signal
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.engines.columnar.vectors import FEW, PARTITION_FROM, VectorIndex, VectorView
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.kernels import SEARCHED
from searchsvc.engines.embedded.matching import PRUNE_FROM
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.engines.retrieval import FacetRequest, Retrieval
from tests.factories import SETTINGS, engine, upsert, vector
from tuning.arrays import BoolArray, FloatArray, IntArray

DIMENSION = 32
N = FEW + 500
K = 100


def clustered(n: int, seed: int, n_centres: int = 40) -> FloatArray:
    """Vectors of length 1 around some centres, as those of a catalogue are."""
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
    made = VectorIndex(dimension)
    made.extend(ROWS[:, :dimension])
    assert made.settle()
    return made


def nearest(view: VectorView, query: FloatArray, live: BoolArray, k: int = K) -> tuple[IntArray, FloatArray]:
    """The k best of what a view offers."""
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
        wanted = exact(query, live)
        assert len(slots) == len(wanted)
        assert live[slots].all()
        np.testing.assert_allclose(cosines, ROWS[slots] @ query, atol=5e-3)
        recalls.append(len(set(slots) & set(wanted)) / max(len(wanted), 1))
    assert live_share == 0.0 or np.mean(recalls) >= 0.98


def test_where_the_nearest_are_dead_the_next_are_found_all_the_same() -> None:
    query = QUERIES[0]
    live = np.ones(N, np.bool_)
    live[exact(query, live, 3 * K)] = False
    slots, _ = nearest(index().view(), query, live)
    assert len(set(slots) & set(exact(query, live))) >= 0.98 * K


def test_a_dimension_that_cannot_be_paired_is_searched_exhaustively() -> None:
    slots, _ = nearest(index(DIMENSION - 1).view(), QUERIES[0][: DIMENSION - 1], np.ones(N, np.bool_), 10)
    wanted = np.argsort(-(ROWS[:, : DIMENSION - 1] @ QUERIES[0][: DIMENSION - 1]))[:10]
    assert len(set(slots) & set(wanted)) >= 9


def test_very_many_vectors_are_partitioned_and_those_that_came_since_are_found(tmp_path: Path) -> None:
    rows = clustered(PARTITION_FROM + 4 * FEW, 4, n_centres=110)
    made = VectorIndex(DIMENSION)

    def check(view: VectorView, n: int, share: float = 1.0) -> None:
        """Of what is nearest, nine in ten are found, though these clusters have no inner order for codes to keep; of
        what came after the base, nearly all."""
        allowed = np.random.default_rng(6).random(n) < share
        hits, later = [], []
        for query in QUERIES:
            slots = np.flatnonzero(allowed)
            wanted = slots[np.argsort(-(rows[slots] @ query))[:K]]
            found, _ = nearest(view, query, allowed)
            assert allowed[found].all()
            hits += [slot in found for slot in wanted]
            later += [slot in found for slot in wanted if slot >= made.base.ntotal]
        assert np.mean(hits) >= 0.9, (n, share)
        assert np.mean(later or [True]) >= 0.97, (n, share)

    made.extend(rows[:PARTITION_FROM])
    made.view()
    assert made.settle()
    assert isinstance(made.base, faiss.IndexIVFPQFastScan)
    # Past the base: a sealed segment, then a tail.
    for end in (PARTITION_FROM + FEW, PARTITION_FROM + FEW + 100):
        made.extend(rows[len(made.store().rows) : end])
        view = made.view()
        for share in (1.0, 0.6, 0.2, 0.1, 0.01):
            check(view, end, share)
    # A base that was written and is mapped again, and one that is built after it with the same centroids.
    faiss.write_index(made.base, str(tmp_path / storage.VECTOR_BASE))
    again = VectorIndex(DIMENSION, made.store(), storage.vector_base(tmp_path))
    check(again.view(), PARTITION_FROM + FEW + 100)
    again.extend(rows[PARTITION_FROM + FEW + 100 :])
    again.view()
    assert again.settle()
    assert again.base.ntotal == len(rows)
    made = again
    check(again.view(), len(rows))


def test_a_document_is_found_while_it_is_written_again_and_in_older_snapshots(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert(str(i), "red shoe", seed=i) for i in range(50)])
    before = made.snapshot()
    missing: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            missing.extend(i for i in range(50) if made.snapshot().find(str(i)) is None)

    reader = threading.Thread(target=look)
    reader.start()
    for seq in range(2, 40):
        made.apply([upsert(str(i), f"blue shoe {seq}", seed=i) for i in range(50)], seq)
    stop.set()
    reader.join()
    assert not missing
    made.apply([Delete("7")], 50)
    slot = before.find("7")
    assert slot is not None
    assert before.id(slot) == "7"
    assert made.snapshot().find("7") is None


@pytest.mark.parametrize("number", [10**30, int("9" * 400), -(10**400), 1e308])
def test_a_number_larger_than_any_float_does_no_harm(tmp_path: Path, number: float) -> None:
    for transform in ("identity", "log1p"):
        settings = msgspec.structs.replace(SETTINGS, signals=(Signal("votes", transform, 10.0),))
        made = engine(tmp_path / transform / str(number)[:9], [upsert("1", "red", votes=number)], settings)
        assert made.snapshot().signals(np.array([0]), 0.0).tolist() == [[1.0 if number > 0 else 0.0]]


def test_a_document_nested_deeper_than_anybody_writes_does_no_harm(tmp_path: Path) -> None:
    text: object = "deep"
    for _ in range(900):
        text = [text]
    members: dict[str, object] = {"id": "1", "title": "red", "text": text}
    snapshot = engine(tmp_path, [Upsert("1", b'{"id":"1","title":"red"}', members, vector(1))]).snapshot()
    assert snapshot.lexicon.count("red") == 1
    assert snapshot.lexicon.count("deep") == 0


def test_of_values_that_are_equally_frequent_the_first_by_their_text_are_shown(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).permutation(3000)
    values: list[object] = [f"SKU-00000-{i % 700:04d}-{i}" if i % 3 else float(i) / 2 for i in numbers.tolist()]
    documents = [upsert(str(i), "red", sku=value) for i, value in enumerate(values)]
    made = engine(tmp_path, [*documents, upsert("twice", "red", sku=values[5])])
    weights = np.zeros(len(SETTINGS.signals), np.float32)
    asked = Retrieval(Query(""), None, {}, weights, 10, 10, facets=(FacetRequest("sku", 90),))
    facet = made.snapshot().retrieve(asked).facets["sku"]
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values]
    expected = sorted(texts, key=lambda text: (text != texts[5], text))
    assert [one.value for one in facet.values] == expected[:90]
    assert (facet.values[0].count, facet.n_values) == (2, 3000)


def test_texts_that_differ_only_in_how_many_zeros_they_end_with_keep_nobody_waiting(tmp_path: Path) -> None:
    values = ["a" + "\0" * i for i in range(150)]
    made = engine(tmp_path, [upsert(str(i), "red", code=value) for i, value in enumerate(values)])
    weights = np.zeros(len(SETTINGS.signals), np.float32)
    asked = Retrieval(Query(""), None, {}, weights, 10, 10, facets=(FacetRequest("code", 90),))
    assert [one.value for one in made.snapshot().retrieve(asked).facets["code"].values] == values[:90]


def test_what_few_of_many_postings_earn_counts_in_every_field(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    settings = msgspec.structs.replace(SETTINGS, embedding=None, signals=())
    documents = [
        upsert(str(i), " ".join(["common"] * rng.integers(1, 4) + ["other"] * rng.integers(0, 6)), "common " * n)
        for i, n in enumerate(rng.integers(0, 9, 4 * 20 * SEARCHED))
    ]
    chosen = rng.choice(len(documents), 20, replace=False)
    documents += [upsert(f"r{i}", f"rare {documents[i].members['title']}", "common " * (i % 7)) for i in chosen]
    snapshot = engine(tmp_path, documents, settings).snapshot()
    query = understand("rare common", snapshot.lexicon)
    boosts = np.array([3.0, 1.0])
    asked = Retrieval(
        query, None, dict(zip(("title", "text"), boosts, strict=True)), np.zeros(0, np.float32), 100, None
    )
    found = snapshot.retrieve(msgspec.structs.replace(asked, operator="all"))
    assert sorted(snapshot.id(slot) for slot in found.keyword) == sorted(f"r{i}" for i in chosen)
    scores = snapshot.text_features(found.keyword, query).bm25 @ boosts
    assert (np.diff(scores) < 3e-5).all()
    assert len(set(scores.round(4))) > 10


def test_the_best_of_very_many_are_the_same_whether_or_not_all_are_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    words = [f"w{i}x" for i in range(400)]
    # What two of them are written as in one is an alternative to each of the two.
    words[3], words[7] = "w0xw1x", "w2xw4x"
    # Nobody has to hold a stop word, but whoever does earns by it.
    words[60] = "for"
    often = 1.0 / np.arange(1, len(words) + 1) ** 1.3
    drawn = rng.choice(len(words), (PRUNE_FROM + 8000, 6), p=often / often.sum())
    settings = msgspec.structs.replace(SETTINGS, embedding=None, signals=())
    documents = [upsert(str(i), " ".join(words[j] for j in row)) for i, row in enumerate(drawn)]
    snapshot = engine(tmp_path, documents, settings).snapshot()
    assert any(len(term.alternatives) > 1 for term in understand("w0x w1x", snapshot.lexicon).terms)
    for text in (
        "w0x w1x w30x w200x",
        "w0x w1x w2x w3x w5x w399x",
        "w0x w1x zzz",
        "w0x w2x w4x w6x w8x w10x w12x w14x",
        "w0x w1x",
        "w0x for w1x w30x w50x",
    ):
        query = understand(text, snapshot.lexicon)
        asked = Retrieval(query, None, {"title": 3.0, "text": 1.0}, np.zeros(0, np.float32), 100, 100, operator="any")
        some = snapshot.retrieve(asked)
        assert some.total > PRUNE_FROM
        every = snapshot.retrieve(msgspec.structs.replace(asked, window=None))
        assert len(every.keyword) == every.total == some.total
        assert some.keyword[:100].tolist() == every.keyword[:100].tolist()
        # Postings and the forward index count alike, so the order of one is that of the other's scores.
        scores = snapshot.text_features(every.keyword, query).bm25 @ np.array([3.0, 1.0])
        assert (np.diff(scores) < 3e-5).all()
