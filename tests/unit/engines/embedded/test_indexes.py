"""The indexes of a data folder: opened from the newest good snapshot, compacted, adopted and dropped."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from events.errors import NotFound
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import COMPACT_MIN
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.engines.protocol import Delete
from tests.factories import DIMENSION, SETTINGS, upsert


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
    assert index.compact() is None


def test_a_compacted_index_is_stored_before_the_old_one_is_dropped(tmp_path: Path) -> None:
    index = stored(tmp_path)
    opened = index.open()
    opened.apply([upsert(str(i), "red") for i in range(COMPACT_MIN + 2)], 8)
    opened.apply([Delete(str(i)) for i in range(COMPACT_MIN + 1)], 13)
    compacted = index.compact()
    assert compacted is not None
    assert compacted.live_slots().tolist() == [0]
    assert compacted.generation != opened.generation
    assert [path.name for path in tmp_path.glob("work-*")] == [f"work-{compacted.generation}"]
    reopened = stored(tmp_path).open()
    snapshot, reading = reopened.snapshot(), reopened.snapshot().reading()
    assert (snapshot.generation, snapshot.catalog_seq, snapshot.n_documents) == (compacted.generation, 13, 1)
    last = upsert(str(COMPACT_MIN + 1), "red")
    assert reading.read([reading.find(last.id) or 0]) == [msgspec.Raw(last.text)]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def files_limited_to(n_bytes: int) -> Iterator[None]:
    """Let this process write no more to any file, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [10, 600])
def test_a_full_disk_leaves_the_index_as_it_was(tmp_path: Path, n_bytes: int) -> None:
    index = stored(tmp_path)
    opened = index.open()
    opened.apply([upsert(str(i), "red") for i in range(COMPACT_MIN + 2)], 8)
    index.save()
    opened.apply([Delete(str(i)) for i in range(COMPACT_MIN + 1)], 13)
    before = contents(tmp_path)
    for store in (index.save, index.compact):
        with files_limited_to(n_bytes), pytest.raises(OSError, match=r"too large|written"):
            store()
        assert contents(tmp_path) == before
    opened.apply([upsert("last", "blue")], 14)
    assert index.compact() is not None
    assert stored(tmp_path).open().snapshot().n_documents == 2


def test_what_was_built_in_vain_is_deleted_and_what_is_stored_stays(tmp_path: Path) -> None:
    index = stored(tmp_path)
    opened = index.open()
    opened.apply([upsert("1", "red")], 1)
    index.save()
    before = contents(tmp_path)
    rebuilt = index.create()
    rebuilt.apply([upsert("1", "blue")], 2)
    with files_limited_to(10), pytest.raises(OSError, match=r"too large|written"):
        index.adopt(rebuilt)
    index.discard(rebuilt)
    index.discard(opened)
    assert contents(tmp_path) == before
    assert index.open().snapshot().n_documents == 1


def test_an_index_that_is_opened_again_leaves_one_folder(tmp_path: Path) -> None:
    index = stored(tmp_path)
    for seq in (1, 2):
        index.open().apply([upsert("1", "red")], seq)
    assert len(list(tmp_path.glob("work-*"))) == 1


def test_an_index_that_is_built_beside_one_that_is_compacted_stays(tmp_path: Path) -> None:
    index = stored(tmp_path)
    opened = index.open()
    opened.apply([upsert(str(i), "red") for i in range(COMPACT_MIN + 2)], 8)
    opened.apply([Delete(str(i)) for i in range(COMPACT_MIN + 1)], 13)
    beside = stored(tmp_path)
    rebuilt = beside.create()
    compacted = index.compact()
    assert compacted is not None
    kept = {f"work-{compacted.generation}", f"work-{rebuilt.generation}"}
    assert {path.name for path in tmp_path.glob("work-*")} == kept
    rebuilt.apply([upsert("1", "blue")], 14)
    beside.adopt(rebuilt)
    assert stored(tmp_path).open().snapshot().generation == rebuilt.generation
