"""What every engine owes, held against a plain exhaustive oracle that is short enough to read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from searchsvc.analysis import analyze
from searchsvc.engine import Delete, EngineSnapshot, Upsert
from tests.factories import SETTINGS, engine, upsert, vector

DOCUMENTS = (
    upsert("1", "Red running shoes", "light shoes for the road", seed=1, votes=3),
    upsert("2", "Blue running shoes", "grip on wet rock", seed=2, votes=9),
    upsert("3", "Red wool socks", "warm socks inside shoes", seed=3),
    upsert("4", "Rain jacket", "dry on the road", seed=4, votes=20),
    upsert("5", "Red", "", seed=5, votes=1),
)


class Oracle:
    """BM25 and nearest vectors over a list, word for word from the formula."""

    def __init__(self, documents: Sequence[Upsert]) -> None:
        self.documents = documents
        names = [field.name for field in SETTINGS.searchable]
        self.fields = [[analyze(str(d.members[name])) for name in names] for d in documents]
        self.n_fields = len(names)
        self.n = len(documents)
        self.mean_length = [sum(len(f[i]) for f in self.fields) / self.n for i in range(self.n_fields)]

    def document_frequency(self, field: int, term: str) -> int:
        return sum(term in f[field] for f in self.fields)

    def idf(self, df: int) -> float:
        return math.log(1 + (self.n - df + 0.5) / (df + 0.5))

    def bm25(self, terms: Sequence[str]) -> dict[str, list[float]]:
        most = {term: max(self.document_frequency(i, term) for i in range(self.n_fields)) for term in terms}
        ceiling = sum(2.2 * self.idf(df) for df in most.values() if df)
        return {
            d.id: [self._score(f, i, terms) / ceiling for i in range(self.n_fields)]
            for d, f in zip(self.documents, self.fields, strict=True)
        }

    def _score(self, fields: list[list[str]], i: int, terms: Sequence[str]) -> float:
        counts, total = Counter(fields[i]), 0.0
        for term in terms:
            tf = counts[term]
            norm = 1.2 * (1 - 0.75 + 0.75 * len(fields[i]) / self.mean_length[i])
            total += self.idf(self.document_frequency(i, term)) * tf * 2.2 / (tf + norm) if tf else 0.0
        return total


def by_id(snapshot: EngineSnapshot, ids: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    slots = [snapshot.find(one) for one in ids]
    assert None not in slots
    return np.array(slots, np.int64)


@pytest.mark.parametrize("query", ["red shoes", "running", "road dry", "red red nothing", "wool"])
def test_bm25_per_field_is_that_of_the_formula(tmp_path: Path, query: str) -> None:
    snapshot = engine(tmp_path, DOCUMENTS).snapshot()
    terms = tuple(dict.fromkeys(analyze(query)))
    expected = Oracle(DOCUMENTS).bm25(terms)
    ids = [d.id for d in DOCUMENTS]
    np.testing.assert_allclose(snapshot.bm25(by_id(snapshot, ids), terms), [expected[i] for i in ids], rtol=1e-5)


def test_keyword_candidates_are_all_that_hold_a_term(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, DOCUMENTS).snapshot()
    found = snapshot.keyword(("red", "jacket"), {"title": 3.0}, 10)
    assert {snapshot.id(slot) for slot in found.slots.tolist()} == {"1", "3", "4", "5"}
    assert found.total == 4
    assert snapshot.keyword(("red", "jacket"), {}, 2).total == 4
    assert snapshot.keyword(("absent",), {}, 10).total == 0


def test_nearest_vectors_are_those_of_an_exhaustive_search(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, DOCUMENTS).snapshot()
    asked = vector(77)
    cosines = {str(i): float(vector(i) @ asked) for i in range(1, 6)}
    found = snapshot.nearest(asked, 3)
    assert [snapshot.id(s) for s in found.slots.tolist()] == sorted(cosines, key=lambda i: -cosines[i])[:3]
    np.testing.assert_allclose(found.cosines, sorted(cosines.values(), reverse=True)[:3], atol=2e-3)
    np.testing.assert_allclose(snapshot.cosines(found.slots, asked), found.cosines, atol=1e-5)


def test_browsing_orders_by_signals_and_then_by_id(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, DOCUMENTS).snapshot()
    order = [snapshot.id(s) for s in snapshot.browse(np.array([1.0], np.float32), 5).tolist()]
    assert order == ["4", "2", "1", "5", "3"]
    assert [snapshot.id(s) for s in snapshot.browse(np.array([0.0], np.float32), 3).tolist()] == ["1", "2", "3"]


def test_a_deleted_document_is_gone_from_every_leg(tmp_path: Path) -> None:
    made = engine(tmp_path, DOCUMENTS)
    snapshot = made.apply([Delete("3"), Delete("never there")], 6)
    assert snapshot.find("3") is None
    assert snapshot.n_documents == 4
    assert snapshot.keyword(("wool",), {}, 10).total == 0
    assert "3" not in {snapshot.id(s) for s in snapshot.nearest(vector(3), 5).slots.tolist()}
    assert "3" not in {snapshot.id(s) for s in snapshot.browse(np.zeros(1, np.float32), 9).tolist()}


def test_an_older_snapshot_does_not_see_later_writes(tmp_path: Path) -> None:
    made = engine(tmp_path, DOCUMENTS)
    before = made.snapshot()
    made.apply([Delete("1"), upsert("6", "Red hat", seed=6)], 7)
    assert before.keyword(("red",), {}, 10).total == 3
    assert before.find("6") is None
    assert bytes(before.document(int(before.nearest(vector(1), 1).slots[0]))) == DOCUMENTS[0].text


def test_deleting_and_adding_again_restores_every_score(tmp_path: Path) -> None:
    made = engine(tmp_path, DOCUMENTS)
    ids, terms = [d.id for d in DOCUMENTS], ("red", "shoe", "road")
    before = made.snapshot()
    scores = before.bm25(by_id(before, ids), terms)
    made.apply([Delete("1"), Delete("4")], 7)
    after = made.apply([DOCUMENTS[3], DOCUMENTS[0]], 9)
    np.testing.assert_array_equal(after.bm25(by_id(after, ids), terms), scores)


def test_of_several_changes_to_one_document_in_a_batch_the_last_counts(tmp_path: Path) -> None:
    made = engine(tmp_path)
    snapshot = made.apply([upsert("1", "first"), Delete("1"), upsert("1", "third")], 3)
    assert snapshot.n_documents == 1
    assert snapshot.keyword(("third",), {}, 5).total == 1
    assert snapshot.keyword(("first",), {}, 5).total == 0
