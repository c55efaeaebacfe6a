"""The indexes of a data folder: opened from the newest good snapshot, compacted, adopted and dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from events.errors import NotFound
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.engines.protocol import Delete
from tests.factories import DIMENSION, SETTINGS, engine, upsert


def stored(folder: Path) -> EmbeddedStorage:
    return EmbeddedStorage(folder, SETTINGS, dimension=DIMENSION)


def test_the_newest_good_snapshot_is_opened(tmp_path: Path) -> None:
    index = stored(tmp_path)
    opened = index.open()
    for seq in (1, 2):
        opened.apply([upsert(str(seq), "red")], seq)
        index.save()
    assert stored(tmp_path).open().snapshot().catalog_seq == 2
    (storage.snapshots(tmp_path)[0] / "live.npy").write_bytes(b"damaged")
    assert stored(tmp_path).open().snapshot().catalog_seq == 1
    assert len(storage.snapshots(tmp_path)) == 1
    (storage.snapshots(tmp_path)[0] / "live.npy").write_bytes(b"damaged")
    assert stored(tmp_path).open().snapshot().n_documents == 0


def test_an_adopted_engine_is_the_only_one_left(tmp_path: Path) -> None:
    index = stored(tmp_path)
    index.open().apply([upsert("1", "red")], 1)
    index.save()
    rebuilt = index.create()
    rebuilt.apply([upsert("1", "blue")], 2)
    index.adopt(rebuilt)
    assert [path.name for path in tmp_path.glob("work-*")] == [f"work-{rebuilt.generation}"]
    assert stored(tmp_path).open().snapshot().generation == rebuilt.generation
    with pytest.raises(NotFound, match="keeps no previous index"):
        index.open_previous()


def test_an_index_with_few_dead_slots_stays(tmp_path: Path) -> None:
    index = stored(tmp_path)
    index.open().apply([upsert("1", "red")], 1)
    assert index.compact(list) is None


def test_compaction_drops_dead_slots_and_keeps_every_answer(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert(str(i), f"red shoe {i}", seed=i, votes=i) for i in range(30)])
    index.apply([Delete(str(i)) for i in range(0, 30, 2)], 31)
    before = index.snapshot()
    after = stored(tmp_path).rebuild(index, list).snapshot()
    assert (after.n_documents, after.catalog_seq) == (15, 31)
    assert after.generation != before.generation
    query = understand("red 29", after.lexicon)
    for document_id in ("1", "29"):
        old, new = (
            snapshot.reading().text_features(np.array([snapshot.reading().find(document_id)]), query)
            for snapshot in (before, after)
        )
        np.testing.assert_array_equal(old.bm25, new.bm25)
    assert after.reading().find("2") is None
