"""What is measured in a catalogue: when, and what of its titles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from events.errors import Unavailable
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.protocol import Delete, Upsert
from searchsvc.indexing import measuring
from searchsvc.indexing.measuring import Measurer, measure
from searchsvc.state.serving_state import NOT_MEASURED, Measurements
from tests.factories import SETTINGS, engine, upsert, vector

PROBES = [vector(seed) for seed in range(500, 520)]


def document(document_id: str, title: str, kind: int, n: int) -> Upsert:
    """Return a document whose vector is near to those of its kind."""
    near = vector(kind) + 0.3 * vector(1000 + n)
    return msgspec.structs.replace(upsert(document_id, title), vector=near / np.linalg.norm(near))


def update(measurer: Measurer, catalogue: EmbeddedEngine, changes: Sequence[Upsert | Delete], seq: int) -> Measurements:
    """Change a catalogue, and measure it once no documents come."""
    measurer.add_changes(len(changes))
    return measurer.update(catalogue.apply(changes, seq), is_quiet=True)


def laptops(n: int) -> list[Upsert]:
    return [document(f"l{i}", f"Laptop {i}", 1, i) for i in range(n)]


def test_a_catalogue_is_measured_again_when_the_index_has_changed_much(tmp_path: Path) -> None:
    measurer = Measurer(PROBES)
    grown = engine(tmp_path, [upsert(f"d{i}", "red", seed=i) for i in range(40)])
    first = measurer.update(grown.snapshot()).neighbour_cut
    # A document as near as can be to every tenth probe moves the cut only once it is measured again.
    more = [upsert(f"n{i}", "red", seed=500 + i) for i in range(21)]
    for documents, seq in ((more[:6], 100), (more[6:], 200)):
        measurer.add_changes(len(documents))
        cut = measurer.update(grown.apply(documents, seq)).neighbour_cut
        assert (cut > first) == (seq == 200)


def test_heads_follow_the_documents_once_none_come(tmp_path: Path) -> None:
    measurer, catalogue = Measurer(PROBES), engine(tmp_path, laptops(20))
    assert measurer.update(catalogue.snapshot(), is_quiet=True).heads == {}
    sleeves = [document(f"s{i}", f"Laptop sleeve {i}", 2, i) for i in range(10)]
    others = [document(f"o{i}", f"Soft sleeve {i}", 2, 50 + i) for i in range(10)]
    update(measurer, catalogue, [*sleeves, *others], 200)
    assert measurer.value.heads == {"laptop": {"sleev"}}
    measurer.add_changes(len(sleeves))
    gone = catalogue.apply([Delete(sleeve.id) for sleeve in sleeves], 300)
    assert measurer.is_behind(gone)
    assert measurer.update(gone, is_quiet=True).heads == {}
    assert not measurer.is_behind(gone)


def test_documents_that_were_all_replaced_are_measured_again(tmp_path: Path) -> None:
    measurer, catalogue = Measurer(PROBES), engine(tmp_path, laptops(20))
    before = measurer.update(catalogue.snapshot(), is_quiet=True)
    lamps = [document(f"l{i}", f"Desk lamp {i}", 1, i) for i in range(20)]
    after = update(measurer, catalogue, lamps, 100)
    assert ("desk", "lamp") in after.adjacent.pairs
    assert after.digest != before.digest


def test_a_digest_tells_other_measurements_and_is_the_same_after_a_start(tmp_path: Path) -> None:
    catalogue = engine(tmp_path / "a", laptops(20))
    measurer = Measurer(PROBES)
    first = measurer.update(catalogue.snapshot()).digest
    assert first
    assert measurer.update(catalogue.snapshot(), is_quiet=True).digest == first
    assert measure(engine(tmp_path / "b", laptops(20)).snapshot(), PROBES).digest == first
    mounts = [document(f"m{i}", f"Laptop mount {i}", 3, i) for i in range(10)]
    assert update(measurer, catalogue, mounts, 100).digest not in ("", first)


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
    assert update(measurer, catalogue, [document("one", "Laptop one", 1, 1)], 100).heads is heads


def test_what_was_stored_counts_only_for_the_same_documents_of_the_same_build(tmp_path: Path) -> None:
    first, catalogue = Measurer(PROBES), engine(tmp_path / "a", laptops(20))
    first.update(catalogue.snapshot(), is_quiet=True)
    stored = msgspec.structs.replace(first.store(catalogue.snapshot()), neighbour_cut=0.123)
    later = Measurer(PROBES)
    later.restore(stored, catalogue.snapshot())
    assert later.value.neighbour_cut == 0.123
    assert not later.is_behind(catalogue.snapshot())
    for other in (
        engine(tmp_path / "b", laptops(20)).snapshot(),
        engine(tmp_path / "c", laptops(21)).snapshot(),
        catalogue.apply([document("l0", "Desk lamp", 1, 1)], 100),
    ):
        started = Measurer(PROBES)
        started.restore(stored, other)
        assert started.value == NOT_MEASURED
    started.restore(msgspec.structs.replace(stored, version=0), catalogue.snapshot())
    assert started.value == NOT_MEASURED


def test_an_index_without_vectors_has_no_heads(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, embedding=None)
    measured = measure(engine(tmp_path, laptops(20), settings).snapshot(), [])
    assert measured.heads == {}
    assert ("laptop", "7") in measured.adjacent.pairs
