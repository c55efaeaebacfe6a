"""Every benchmark runs at toy size, so that none rots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import events, latency, propagation, recovery, relevance, rules, scale
from events.errors import InvalidInput
from searchsvc.sample import sample_catalogue


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A judged collection: the sample catalogue, titles as queries, each title's product the answer."""
    documents = list(sample_catalogue(1100))
    (tmp_path / "docs.jsonl").write_bytes(b"".join(documents))
    products = [msgspec.json.decode(line) for line in documents[:30]]
    queries = [json.dumps({"id": f"q{p['id']}", "text": p["title"]}) for p in products]
    (tmp_path / "queries.jsonl").write_text("\n".join(queries))
    rows = ["query_id\tdoc_id\tgrade", *(f"q{p['id']}\t{p['id']}\t1" for p in products)]
    (tmp_path / "qrels.tsv").write_text("\n".join(rows))
    return tmp_path


def test_relevance_measures_all_contenders_on_a_judged_folder(collection: Path) -> None:
    saved = collection / "run.jsonl"

    def measured(save_run: Path | None = None, against: Path | None = None) -> dict[str, Any]:
        result = relevance.measure(
            collection, n_queries=None, reference=False, save_run=save_run, against=against, say=lambda _: None
        )
        relevance.print_result(result)
        assert msgspec.json.encode(result)
        return result

    result = measured(save_run=saved)
    assert set(result["figures"]) == {"keyword", "vector", "RRF(60)", "hybrid (default)"}
    assert result["figures"]["hybrid (default)"]["ndcg@10"].value > 0.5
    assert sum(one["n_queries"] for one in result["by_length"].values()) == 30
    assert result["typos"]["hybrid, one typo"].value > 0.3
    assert len(result["checks"]) == 5
    lines = saved.read_text().splitlines()
    saved.write_text("\n".join([lines[0].replace('"ndcg":1.0', '"ndcg":0.5'), *lines[1:]]))
    compared = measured(against=saved)["against"]
    assert (compared["n_queries"], compared["won"], compared["lost"]) == (30, 1, 0)
    assert compared["biggest_wins"][0]["change"] == 0.5
    with pytest.raises(InvalidInput, match="no saved run"):
        measured(against=collection / "qrels.tsv")


def test_latency_measures_search_change_and_restart(collection: Path) -> None:
    queries = latency.WARM_UP + 10
    result = latency.measure(
        collection, n_queries=queries, n_load=40, n_changes=3, n_restarts=1, n_reference=0, say=lambda _: None
    )
    latency.print_result(result)
    assert result["load"]["searches"] == 40
    assert result["search_ms"]["in process: cold"].n == 10
    assert {"brand", "category", "colour"} <= set(result["facets"])
    assert result["search_ms"]["service cold"].n == 10
    assert result["search_ms"]["bare sum"].p50.value > 0
    assert set(result["restart_to_first_answer_s"]) == {"after SIGTERM", "after kill -9"}
    assert msgspec.json.encode(result)


def test_scale_measures_each_size_and_takes_vectors_from_where_they_are(collection: Path) -> None:
    kept = collection / "vectors"
    result = scale.measure(
        collection, sizes=(2400, 1200), n_queries=10, n_searches=20, n_upserts=3, vectors=kept, say=lambda _: None
    )
    scale.print_result(result)
    assert [row["documents"] for row in result["table"]] == [1200, 2400]
    for row in result["table"]:
        assert row["search_ms"]["cold"].n == row["search_ms"]["filtered"].n == 10
        assert row["upsert_to_searchable_ms"].n == 3
        assert row["resident_mb"]["service"] > row["resident_mb"]["nats-server"] > 0
        assert min(row["recall_at_100"].values()) >= 0.98
    assert list(kept.glob("*.sqlite"))
    assert msgspec.json.encode(result)


def test_events_measures_what_was_taken_and_what_searches_feel() -> None:
    result = events.measure(None, n_events=2_000, n_documents=1100, seconds=0.5, rounds=1, say=lambda _: None)
    events.print_result(result)
    assert (result["accepted_but_missing"], result["stored_more_than_once"]) == (0, 0)
    assert result["accepted"] >= 2_000
    assert result["offered"]["2000"]["search_ms"].n == 10


def test_recovery_measures_every_kind_of_start() -> None:
    result = recovery.measure(None, n_events=2_000, n_documents=100, say=lambda _: None)
    recovery.print_result(result)
    assert len(result["start_to_ready_s"]) == 6
    assert [check.holds for check in result["checks"]] == [True] * 3


def test_rules_are_matched_as_each_looked_at_alone_is() -> None:
    result = rules.measure(n_rules=200, n_searches=30, say=lambda _: None)
    rules.print_result(result)
    assert result["n_fired_most"] > 0
    assert all(figures.n >= 20 for figures in result["latency_ms"].values())


def test_propagation_measures_every_service() -> None:
    result = propagation.measure(n_services=2, n_changes=3, n_documents=30, say=lambda _: None)
    propagation.print_result(result)
    assert {name: figures.n for name, figures in result["weights_ms"].items()} == {"sent to": 3, "replica 1": 3}
    assert set(result["documents_ms"]) == {"sent to", "replica 1"}
