"""What is measured in a catalogue: when, and what of its titles."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from events.errors import Unavailable
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.indexing import measuring
from searchsvc.indexing.measuring import Measurer, measure
from tests.factories import SETTINGS, engine, upsert, vector

PROBES = [vector(seed) for seed in range(500, 520)]


def document(document_id: str, title: str, kind: int, n: int) -> Upsert:
    """Return a document whose vector is near to those of its kind."""
    near = vector(kind) + 0.3 * vector(1000 + n)
    return msgspec.structs.replace(upsert(document_id, title), vector=near / np.linalg.norm(near))


def laptops(n: int) -> list[Upsert]:
    return [document(f"l{i}", f"Laptop {i}", 1, i) for i in range(n)]


def test_a_catalogue_is_measured_again_when_the_index_has_changed_much(tmp_path: Path) -> None:
    measurer = Measurer(PROBES)
    grown = engine(tmp_path, [upsert(f"d{i}", "red", seed=i) for i in range(40)])
    first = measurer.update(grown.snapshot()).neighbour_cut
    # A document as near as can be to every tenth probe moves the cut only once it is measured again.
    more = [upsert(f"n{i}", "red", seed=500 + i) for i in range(20)]
    assert measurer.update(grown.apply(more[:6], 100)).neighbour_cut == first
    assert measurer.update(grown.apply(more[6:], 200)).neighbour_cut > first


def test_heads_follow_the_documents_once_none_come(tmp_path: Path) -> None:
    measurer, catalogue = Measurer(PROBES), engine(tmp_path, laptops(20))
    assert measurer.update(catalogue.snapshot(), is_quiet=True).heads == {}
    sleeves = [document(f"s{i}", f"Laptop sleeve {i}", 2, i) for i in range(10)]
    others = [document(f"o{i}", f"Soft sleeve {i}", 2, 50 + i) for i in range(10)]
    measurer.update(catalogue.apply([*sleeves, *others], 200), is_quiet=True)
    assert measurer.value.heads == {"laptop": {"sleev"}}
    gone = catalogue.apply([Delete(sleeve.id) for sleeve in sleeves], 300)
    assert measurer.is_behind(gone)
    assert measurer.update(gone, is_quiet=True).heads == {}
    assert not measurer.is_behind(gone)


def test_a_digest_tells_other_measurements_and_is_the_same_after_a_start(tmp_path: Path) -> None:
    catalogue = engine(tmp_path / "a", laptops(20))
    measurer = Measurer(PROBES)
    first = measurer.update(catalogue.snapshot()).digest
    assert first
    assert measurer.update(catalogue.snapshot(), is_quiet=True).digest == first
    assert measure(engine(tmp_path / "b", laptops(20)).snapshot(), PROBES).digest == first
    changed = catalogue.apply([document(f"m{i}", f"Laptop mount {i}", 3, i) for i in range(10)], 100)
    assert measurer.update(changed).digest not in ("", first)


def test_what_the_engine_did_not_answer_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("away", retry_after_s=1.0)

    catalogue, measurer = engine(tmp_path, laptops(20)), Measurer(PROBES)
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "find_heads", fail)
        with pytest.raises(Unavailable):
            measurer.update(catalogue.snapshot())
    assert measurer.is_behind(catalogue.snapshot())
    assert measurer.update(catalogue.snapshot()) == measure(catalogue.snapshot(), PROBES)


def test_one_document_more_is_no_reason_to_read_all_titles_again(tmp_path: Path) -> None:
    catalogue = engine(tmp_path, laptops(100))
    measurer = Measurer(PROBES)
    heads = measurer.update(catalogue.snapshot(), is_quiet=True).heads
    more = catalogue.apply([document("one", "Laptop one", 1, 1)], 100)
    assert measurer.update(more, is_quiet=True).heads is heads


def test_an_index_without_vectors_has_no_heads(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, embedding=None)
    measured = measure(engine(tmp_path, laptops(20), settings).snapshot(), [])
    assert measured.heads == {}
    assert ("laptop", "7") in measured.pairs
