"""Snapshots on disk: reopened as they were, refused when a byte is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from events.errors import Corrupt
from events.settings import IndexSettings, SearchableField
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.embedded.manifest import MANIFEST, SCHEMA, read_manifest
from searchsvc.engines.embedded.snapshot import EmbeddedSnapshot
from searchsvc.engines.embedded.stored_files import VALUES
from searchsvc.engines.protocol import Delete
from searchsvc.engines.retrieval import FacetRequest, Retrieval, Retrieved
from tests.factories import SETTINGS, engine, upsert, vector

MODEL = "model digest"


def saved(folder: Path) -> Path:
    index = engine(folder, [upsert(str(i), f"Red shoe {i}", f"text {i}", seed=i, votes=i) for i in range(30)])
    index.apply([Delete("7")], 31)
    return storage.save(index, folder, MODEL)


def retrieve(snapshot: EmbeddedSnapshot, text: str) -> Retrieved:
    facets = (FacetRequest("votes", 50),)
    query, weights = understand(text, snapshot.lexicon), np.zeros(1, np.float32)
    request = Retrieval(query, vector(3), {}, weights, k=9, window=50, operator="all", facets=facets)
    return snapshot.reading().retrieve(request)


def ids_of(snapshot: EmbeddedSnapshot, text: str) -> list[str]:
    return [snapshot.reading().id(slot) for slot in retrieve(snapshot, text).keyword.tolist()]


def reopen(snapshot: Path, folder: Path) -> EmbeddedEngine:
    index = storage.load(snapshot, folder, SETTINGS, MODEL)
    assert index is not None
    return index


def test_a_reopened_engine_answers_as_before(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert(str(i), f"Red shoe {i}", "3", seed=i, votes=i % 4) for i in range(30)])
    index.apply([Delete("7")], 31)
    before = index.snapshot()
    after = reopen(storage.save(index, tmp_path, MODEL), tmp_path).snapshot()
    assert (after.catalog_seq, after.n_documents, after.generation) == (31, 29, before.generation)
    assert (after.digest, after.settings) == (before.digest, before.settings)
    new, old = retrieve(after, "red 3"), retrieve(before, "red 3")
    assert new.total == old.total == 29
    slots = new.keyword
    np.testing.assert_array_equal(slots, old.keyword)
    np.testing.assert_array_equal(new.nearest, old.nearest)
    assert new.facets == old.facets
    assert new.facets["votes"].n_values > 1
    query, readings = understand("red 3", after.lexicon), (after.reading(), before.reading())
    new_bm25, old_bm25 = (reading.text_features(slots, query).bm25 for reading in readings)
    np.testing.assert_array_equal(new_bm25, old_bm25)
    assert readings[0].read([int(slots[0])]) == readings[1].read([int(slots[0])])


def test_a_reopened_engine_takes_further_changes(tmp_path: Path) -> None:
    index = reopen(saved(tmp_path), tmp_path)
    snapshot = index.apply([upsert("new", "Green hat"), Delete("8")], 40)
    assert snapshot.n_documents == 29
    assert ids_of(snapshot, "hat") == ["new"]
    assert snapshot.reading().find("8") is None


def test_a_vector_base_that_this_faiss_cannot_read_is_built_again(tmp_path: Path) -> None:
    for content in (b"IVFF of a later one", b""):
        (tmp_path / storage.VECTOR_BASE).write_bytes(content)
        assert storage.vector_base(tmp_path) is None


@pytest.mark.parametrize(
    "name",
    [
        "vectors.rows.npy",
        "forward.arrays.words.npy",
        "postings.entries.slots.npy",
        "ids.texts.letters.npy",
        "forward.lexicon.words.letters.npy",
        "attributes.joined.numbers.npy",
        VALUES,
        "documents",
        MANIFEST,
    ],
)
def test_a_flipped_bit_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    snapshot = saved(tmp_path)
    path = next(tmp_path.glob("work-*/documents")) if name == "documents" else snapshot / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=r"does not match its manifest|not readable|does not match its seal"):
        storage.load(snapshot, tmp_path, SETTINGS, MODEL)


def test_every_file_of_a_snapshot_is_in_its_manifest(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    names = {file.name for file in snapshot.iterdir()}
    assert read_manifest(snapshot).files.keys() == names - {MANIFEST}


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    (snapshot / "live.npy").unlink()
    with pytest.raises(Corrupt, match="missing"):
        storage.load(snapshot, tmp_path, SETTINGS, MODEL)


def test_a_snapshot_of_other_settings_or_another_model_is_not_taken(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    other = IndexSettings((SearchableField("title"),), "title")
    assert storage.load(snapshot, tmp_path, other, MODEL) is None
    assert storage.load(snapshot, tmp_path, SETTINGS, "another") is None
    assert storage.model_of(snapshot) == MODEL


def test_a_snapshot_of_another_schema_is_not_taken(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    older = msgspec.structs.replace(read_manifest(snapshot), schema=SCHEMA - 1)
    older.write(snapshot)
    assert storage.load(snapshot, tmp_path, SETTINGS, MODEL) is None


def test_only_the_newest_snapshots_are_kept(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert("1", "one")])
    for seq in range(2, 6):
        index.apply([upsert(str(seq), "more")], seq)
        storage.save(index, tmp_path, MODEL)
    assert [path.name.lstrip("0") for path in storage.snapshots(tmp_path)] == ["5", "4"]


def test_stored_documents_are_those_of_the_newest_good_snapshot(tmp_path: Path) -> None:
    assert storage.stored_documents(tmp_path) == {}
    index = engine(tmp_path, [upsert("1", "one"), upsert("2", "two")])
    storage.save(index, tmp_path, MODEL)
    index.apply([Delete("1"), upsert("3", "three")], 3)
    newest = storage.save(index, tmp_path, MODEL)
    assert storage.stored_documents(tmp_path) == {"2": upsert("2", "two").text, "3": upsert("3", "three").text}
    (newest / "live.npy").write_bytes(b"damaged")
    assert storage.stored_documents(tmp_path).keys() == {"1", "2"}


def test_other_generations_are_dropped_with_their_snapshots(tmp_path: Path) -> None:
    saved(tmp_path)
    index = engine(tmp_path, [upsert("1", "one")])
    assert not storage.has_snapshot(tmp_path, index.generation)
    storage.save(index, tmp_path, MODEL)
    storage.drop_others(tmp_path, index.generation)
    assert storage.has_snapshot(tmp_path, index.generation)
    assert [path.name for path in storage.snapshots(tmp_path)] == [f"{1:020d}"]
    assert list(tmp_path.glob("work-*")) == [storage.work_folder(tmp_path, index.generation)]
