"""The writer and its snapshots: what is written is seen at once, and an older snapshot stays as it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from events.settings import Signal
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded.engine import COMPACT_MIN
from searchsvc.engines.embedded.snapshot import MAX_CACHED_QUERIES, EmbeddedSnapshot
from searchsvc.engines.protocol import Delete, Upsert
from tests.factories import SETTINGS, engine, upsert, vector


def test_the_last_of_several_changes_of_a_document_counts(tmp_path: Path) -> None:
    index = engine(tmp_path)
    snapshot = index.apply([upsert("1", "red"), Delete("1"), upsert("1", "blue"), upsert("2", "x"), Delete("2")], 5)
    assert (snapshot.n_documents, snapshot.catalog_seq) == (1, 5)
    assert (snapshot.lexicon.count("blue"), snapshot.lexicon.count("red")) == (1, 0)
    assert snapshot.reading().find("2") is None
    assert index.live_slots().tolist() == [0]


def test_the_digest_does_not_depend_on_the_order_of_changes(tmp_path: Path) -> None:
    documents = [upsert(str(i), f"red {i}") for i in range(5)]
    forwards = engine(tmp_path / "a", documents)
    backwards = engine(tmp_path / "b", [upsert("9", "x"), *documents[::-1]])
    backwards.apply([Delete("9"), documents[2]], 9)
    assert forwards.snapshot().digest == backwards.snapshot().digest


def test_an_index_is_worth_compacting_once_most_of_many_slots_are_dead(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, embedding=None)
    index = engine(tmp_path, [upsert(str(i), "red") for i in range(COMPACT_MIN + 2)], settings)
    index.apply([Delete(str(i)) for i in range(COMPACT_MIN)], 2)
    assert not index.is_worth_compacting
    index.apply([Delete(str(COMPACT_MIN))], 3)
    assert index.is_worth_compacting


def test_an_index_lies_beside_its_log_and_in_memory(tmp_path: Path) -> None:
    index = engine(tmp_path)
    assert index.was_built_from(datetime(2026, 1, 1, tzinfo=UTC))
    assert not index.is_lost
    assert not index.needs_maintenance
    assert index.maintain()


def test_maintenance_changes_no_score(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert(str(i), f"red shoe {i % 7}") for i in range(40)])
    for seq in range(41, 50):
        index.apply([upsert(f"n{seq}", "red hat")], seq)
    before = index.snapshot()
    assert index.maintain()
    after = index.snapshot()
    query, slots = understand("red shoe 3", before.lexicon), index.live_slots()
    old, new = (snapshot.reading().text_features(slots, query) for snapshot in (before, after))
    np.testing.assert_array_equal(old.bm25, new.bm25)
    assert after.catalog_seq == before.catalog_seq


def test_a_document_is_found_by_its_texts_of_now_whatever_else_changed(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert("1", "red shoe", price=1), upsert("2", "red hat", price=2)])
    index.apply([upsert("1", "red shoe", price=3)], 3)
    same_texts = index.snapshot()
    index.apply([upsert("1", "blue shoe", price=3)], 4)
    for snapshot, title in ((same_texts, "red shoe"), (index.snapshot(), "blue shoe")):
        fresh = engine(tmp_path / title, [upsert("2", "red hat", price=2), upsert("1", title, price=3)]).snapshot()
        for text in ("red", "blue shoe", "hat"):
            scores = []
            for built in (snapshot, fresh):
                reading = built.reading()
                slots = np.array([reading.find("1"), reading.find("2")])
                scores.append(reading.text_features(slots, understand(text, built.lexicon)).bm25)
            np.testing.assert_array_equal(scores[0], scores[1])
            assert snapshot.lexicon.count(text.split()[0]) == fresh.lexicon.count(text.split()[0])


def test_a_snapshot_remembers_the_terms_of_a_bounded_number_of_queries(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, [upsert("1", "red")]).snapshot()
    query = understand("red", snapshot.lexicon)
    terms = snapshot.query_terms(query)
    assert snapshot.query_terms(understand("red", snapshot.lexicon)) is terms
    for i in range(MAX_CACHED_QUERIES):
        snapshot.query_terms(understand(f"red {i}", snapshot.lexicon))
    assert snapshot.query_terms(query) is not terms


def test_a_small_index_needs_no_executor(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, [upsert("1", "red")]).snapshot()
    assert snapshot.is_fast
    assert not snapshot.encodes_concurrently
    assert isinstance(snapshot.reading().snapshot, EmbeddedSnapshot)
    assert not snapshot.refusals


def test_a_document_without_a_vector_is_near_to_nothing(tmp_path: Path) -> None:
    without = msgspec.structs.replace(upsert("2", "blue"), vector=None)
    reading = engine(tmp_path, [upsert("1", "red", seed=1), without]).snapshot().reading()
    cosines = reading.cosines(np.array([0, 1]), vector(1))
    assert cosines[0] == pytest.approx(1.0, abs=0.02)
    assert cosines[1] == 0.0
    assert not reading.vectors(np.array([1])).any()


def test_an_index_that_embeds_nothing_has_cosines_of_zero(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, embedding=None)
    index = engine(tmp_path, [upsert("1", "red")], settings)
    reading = index.snapshot().reading()
    assert reading.cosines(np.array([0]), vector(1)).tolist() == [0.0]
    assert reading.vectors(np.array([0])).shape == (1, 0)
    assert index.vector_base is None


def test_a_document_is_found_while_it_is_updated_and_in_older_snapshots(tmp_path: Path) -> None:
    index = engine(tmp_path, [upsert(str(i), "red shoe", seed=i) for i in range(50)])
    before = index.snapshot().reading()
    missing: list[int] = []
    stop = threading.Event()

    def look_up() -> None:
        while not stop.is_set():
            missing.extend(i for i in range(50) if index.snapshot().reading().find(str(i)) is None)

    reader = threading.Thread(target=look_up)
    reader.start()
    for seq in range(2, 40):
        index.apply([upsert(str(i), f"blue shoe {seq}", seed=i) for i in range(50)], seq)
    stop.set()
    reader.join()
    assert not missing
    index.apply([Delete("7")], 50)
    slot = before.find("7")
    assert slot is not None
    assert before.id(slot) == "7"
    assert index.snapshot().reading().find("7") is None


@pytest.mark.parametrize("number", [10**30, int("9" * 400), -(10**400), 1e308])
def test_a_number_larger_than_any_float_becomes_a_signal(tmp_path: Path, number: float) -> None:
    for transform in ("identity", "log1p"):
        settings = msgspec.structs.replace(SETTINGS, signals=(Signal("votes", transform, 10.0),))
        index = engine(tmp_path / transform / str(number)[:9], [upsert("1", "red", votes=number)], settings)
        assert index.snapshot().reading().signals(np.array([0]), 0.0).tolist() == [[1.0 if number > 0 else 0.0]]


def test_a_deeply_nested_document_is_indexed_without_the_nested_text(tmp_path: Path) -> None:
    text: object = "deep"
    for _ in range(900):
        text = [text]
    members: dict[str, object] = {"id": "1", "title": "red", "text": text}
    snapshot = engine(tmp_path, [Upsert("1", b'{"id":"1","title":"red"}', members, vector(1))]).snapshot()
    assert snapshot.lexicon.count("red") == 1
    assert snapshot.lexicon.count("deep") == 0
