"""Snapshots on disk: reopened as they were, refused when a byte is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from events.errors import Corrupt
from events.settings import IndexSettings, SearchableField
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine, EmbeddedSnapshot
from searchsvc.engines.protocol import Delete
from searchsvc.engines.retrieval import FacetRequest, Retrieval, Retrieved
from tests.factories import SETTINGS, engine, upsert, vector

MODEL = "model digest"


def saved(folder: Path) -> Path:
    made = engine(folder, [upsert(str(i), f"Red shoe {i}", f"text {i}", seed=i, votes=i) for i in range(30)])
    made.apply([Delete("7")], 31)
    return storage.save(made, folder, MODEL)


def found(snapshot: EmbeddedSnapshot, query: str) -> Retrieved:
    facets = (FacetRequest("votes", 50),)
    weights = np.zeros(1, np.float32)
    asked = understand(query, snapshot.lexicon)
    return snapshot.retrieve(Retrieval(asked, vector(3), {}, weights, k=9, window=50, operator="all", facets=facets))


def ids_of(snapshot: EmbeddedSnapshot, query: str) -> list[str]:
    return [snapshot.id(slot) for slot in found(snapshot, query).keyword.tolist()]


def reopened(snapshot: Path, folder: Path) -> EmbeddedEngine:
    made = storage.load(snapshot, folder, SETTINGS, MODEL)
    assert made is not None
    return made


def test_a_reopened_engine_answers_as_before(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert(str(i), f"Red shoe {i}", "3", seed=i, votes=i % 4) for i in range(30)])
    made.apply([Delete("7")], 31)
    before = made.snapshot()
    after = reopened(storage.save(made, tmp_path, MODEL), tmp_path).snapshot()
    assert (after.catalog_seq, after.n_documents, after.generation) == (31, 29, before.generation)
    ours, theirs = found(after, "red 3"), found(before, "red 3")
    assert ours.total == theirs.total == 29
    slots = ours.keyword
    np.testing.assert_array_equal(slots, theirs.keyword)
    np.testing.assert_array_equal(ours.nearest, theirs.nearest)
    assert ours.facets == theirs.facets
    assert ours.facets["votes"].n_values > 1
    query = understand("red 3", after.lexicon)
    np.testing.assert_array_equal(after.text_features(slots, query).bm25, before.text_features(slots, query).bm25)
    assert after.read([int(slots[0])]) == before.read([int(slots[0])])


def test_a_reopened_engine_takes_further_changes(tmp_path: Path) -> None:
    made = reopened(saved(tmp_path), tmp_path)
    snapshot = made.apply([upsert("new", "Green hat"), Delete("8")], 40)
    assert snapshot.n_documents == 29
    assert ids_of(snapshot, "hat") == ["new"]
    assert snapshot.find("8") is None


def test_a_vector_index_that_this_faiss_cannot_read_is_made_again(tmp_path: Path) -> None:
    for content in (b"IVFF of a later one", b""):
        (tmp_path / storage.VECTOR_BASE).write_bytes(content)
        assert storage.vector_base(tmp_path) is None


@pytest.mark.parametrize(
    "name",
    [
        "vectors.npy",
        "entry_words.npy",
        "posting_slots.npy",
        "ids_letters.npy",
        "words_letters.npy",
        "documents",
        "manifest.json",
    ],
)
def test_a_flipped_bit_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    snapshot = saved(tmp_path)
    path = next(tmp_path.glob("work-*/documents")) if name == "documents" else snapshot / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=r"not what its manifest vouches for|not readable|not what was sealed"):
        storage.load(snapshot, tmp_path, SETTINGS, MODEL)


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


def test_only_the_newest_snapshots_are_kept(tmp_path: Path) -> None:
    made = engine(tmp_path, [upsert("1", "one")])
    for seq in range(2, 6):
        made.apply([upsert(str(seq), "more")], seq)
        storage.save(made, tmp_path, MODEL)
    assert [p.name.lstrip("0") for p in storage.snapshots(tmp_path)] == ["5", "4"]
