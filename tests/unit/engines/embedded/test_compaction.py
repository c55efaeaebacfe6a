"""Compaction of an embedded index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.engines.protocol import Delete
from tests.factories import DIMENSION, SETTINGS, engine, upsert


def test_compaction_drops_dead_slots_and_keeps_every_answer(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert(str(i), f"red shoe {i}", seed=i, votes=i) for i in range(30)])
    made.apply([Delete(str(i)) for i in range(0, 30, 2)], 31)
    before = made.snapshot()
    after = EmbeddedStorage(tmp_path, SETTINGS, dimension=DIMENSION)._rebuilt(made, lambda some: some).snapshot()
    assert (after.n_documents, after.catalog_seq) == (15, 31)
    assert after.generation != before.generation
    for document_id in ("1", "29"):
        old, new = (np.array([snapshot.find(document_id)]) for snapshot in (before, after))
        query = understand("red 29", after.lexicon)
        np.testing.assert_array_equal(before.text_features(old, query).bm25, after.text_features(new, query).bm25)
    assert after.find("2") is None
