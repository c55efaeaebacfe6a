"""Every benchmark runs at toy size, so that none rots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import (
    against,
    events,
    gate,
    isolation,
    latency,
    live,
    neighbours,
    pages,
    propagation,
    recovery,
    relevance,
    rules,
    scale,
    tuning,
    updates,
)
from benchmarks.running import START_TIMEOUT_S
from events.errors import InvalidInput
from searchsvc.cli.sample import sample_catalogue

N_DOCUMENTS = 300


def silent(_: str) -> None:
    """Take a benchmark's progress and print nothing."""


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A judged collection: the sample catalogue, with titles as queries, each relevant to its own product."""
    documents = list(sample_catalogue(N_DOCUMENTS))
    (tmp_path / "docs.jsonl").write_bytes(b"".join(documents))
    products = [msgspec.json.decode(line) for line in documents[:30]]
    queries = [json.dumps({"id": f"q{p['id']}", "text": p["title"]}) for p in products]
    (tmp_path / "queries.jsonl").write_text("\n".join(queries))
    rows = ["query_id\tdoc_id\tgrade", *(f"q{p['id']}\t{p['id']}\t1" for p in products)]
    (tmp_path / "qrels.tsv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature file: 300 random queries, and a production that has half of the relevant features right."""
    rng, n = np.random.default_rng(8), 300
    features = rng.random((n * 15, 4))
    path = tmp_path_factory.mktemp("features") / "made-up.npz"
    np.savez(
        path,
        X=features.astype(np.float32),
        y=(features @ np.array([1.0, 1.0, 0.3, 0.0]) > 1.55).astype(np.int64),
        qid=np.repeat(np.arange(n), 15),
        qsplit=np.repeat([0, 0, 1, 2], n // 4),
        names=np.array(["title", "text", "votes", "noise"]),
        production=np.array([1.0, 0.2, 0.0, 0.3]),
    )
    return path


def test_relevance_measures_all_contenders_on_a_judged_folder(collection: Path) -> None:
    saved = collection / "run.jsonl"

    def measured(save_run: Path | None = None, against: Path | None = None) -> dict[str, Any]:
        result = relevance.measure(
            [collection], n_queries=None, reference=False, save_run=save_run, against=against, say=silent
        )
        relevance.print_result(result)
        assert msgspec.json.encode(result)
        return result

    result = measured(save_run=saved)
    (one,) = result["collections"].values()
    assert set(one["figures"]) == {"keyword", "vector", "RRF(60)", "z-scores", "hybrid (default)"}
    figures = one["figures"]["hybrid (default)"]
    assert figures["ndcg@10"].value > 0.5
    assert figures["judged@10"].value >= figures["ndcg@10"].value
    assert 0 < figures["unjudged"].value < 1
    assert sum(group["n_queries"] for group in one["by_length"].values()) == 30
    assert one["typos"]["hybrid, one typo"].value > 0.3
    assert result["mean_ndcg@10"]["hybrid (default)"] == figures["ndcg@10"].value
    assert len(result["checks"]) == 7
    lines = saved.read_text().splitlines()
    saved.write_text("\n".join([lines[0].replace('"ndcg":1.0', '"ndcg":0.5'), *lines[1:]]))
    (compared,) = (one["against"] for one in measured(against=saved)["collections"].values())
    assert (compared["n_queries"], compared["won"], compared["lost"]) == (30, 1, 0)
    assert compared["biggest_wins"][0]["change"] == 0.5
    with pytest.raises(InvalidInput, match="is not a saved run"):
        measured(against=collection / "qrels.tsv")
    with pytest.raises(InvalidInput, match="one folder"):
        relevance.measure(
            [collection, collection.parent], n_queries=None, reference=False, save_run=saved, against=None, say=silent
        )


def test_pages_are_judged_by_what_documents_say(collection: Path) -> None:
    file = collection / "pages.jsonl"
    asked = [
        {"query": "lamp", "at_least": 5, "passes": r"^title: .*\blamp"},
        {"query": "lamp", "at_least": 5, "passes": r"^title: .*\blamp", "fails": "^TITLE:"},
        {"query": "lamp", "at_least": 10, "passes": "^id: P00001$"},
        {"query": "nothing", "at_least": 1, "passes": "no document says so"},
    ]
    file.write_text("\n".join(json.dumps(page) for page in asked))
    result = pages.measure(collection, file, say=silent)
    pages.print_result(result)
    # Of the second page nothing passes that does not fail, and of the last one nothing at all.
    first, last = result["pages"]
    assert first["is_right"]
    assert first["right"] >= first["needed"] >= 1
    assert len(first["titles"]) == 10
    assert last["needed"] == 1
    assert result["share_right"] == (1.0 if last["is_right"] else 0.5)
    assert msgspec.json.encode(result)


@pytest.mark.parametrize("line", ["[", '{"query": "a"}', '{"query": "a", "at_least": 1, "passes": "("}', ""])
def test_a_malformed_list_of_pages_is_refused(collection: Path, line: str) -> None:
    file = collection / "pages.jsonl"
    file.write_text(line)
    with pytest.raises(InvalidInput, match="page"):
        pages.measure(collection, file, say=silent)


def test_latency_measures_search_change_and_restart(collection: Path) -> None:
    plan = latency.Plan(n_queries=10, n_load=40, n_changes=3, n_restarts=1, n_reference=0)
    result = latency.measure(collection, plan, silent)
    latency.print_result(result)
    assert result["load"]["searches"] == 40
    assert result["search_ms"]["in process: cold"].n == 10
    assert {"brand", "category", "colour"} <= set(result["facets"])
    assert result["search_ms"]["service cold"].n == 10
    assert result["search_ms"]["bare sum"].p50.value > 0
    assert set(result["restart_to_first_answer_s"]) == {"after SIGTERM", "after kill -9"}
    assert msgspec.json.encode(result)


def test_latency_measures_small_catalogues_with_refused_documents(tmp_path: Path) -> None:
    documents = [*sample_catalogue(20), b'{"id": 5, "title": "id is a number"}\n', b"not JSON\n"]
    (tmp_path / "docs.jsonl").write_bytes(b"".join(documents))
    plan = latency.Plan(n_queries=5, n_load=4, n_changes=1, n_restarts=1, n_reference=0)
    result = latency.measure(tmp_path, plan, silent)
    latency.print_result(result)
    assert (result["import"]["n_documents"], result["import"]["n_refused"]) == (20, 2)
    assert result["search_ms"]["service cold"].n >= 5


def test_latency_says_what_is_wrong_with_a_collection(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"neither docs\.jsonl nor docs\.jsonl\.gz"):
        latency.measure(tmp_path, latency.Plan(), silent)
    (tmp_path / "docs.jsonl").write_bytes(b"not JSON\n")
    with pytest.raises(InvalidInput, match="line 1: "):
        latency.measure(tmp_path, latency.Plan(), silent)


def test_latency_against_the_same_checkout_finds_the_same_answers(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_bytes(b"".join(sample_catalogue(60)))
    checkout = Path(against.__file__).parent.parent
    result = against.measure(tmp_path, checkout, n_queries=30, n_runs=2, say=silent)
    against.print_result(result)
    assert msgspec.json.encode(result)
    assert result["commit"] == result["other_commit"]
    assert len(result["runs"]) == 2
    for comparison in result["median_of_runs"].values():
        assert comparison.n == 2 * result["n"] > 0
        # In a sample this small, the p99 itself may lie outside its bootstrap interval.
        assert all(ratio.value > 0 and 0 < ratio.low <= ratio.high for ratio in comparison.ratio.values())
    answers = result["answers"]
    assert answers.n_same > 0
    assert (answers.n_same, answers.first_differences) == (answers.n_queries - answers.n_degraded, [])
    with pytest.raises(InvalidInput, match="is not a checkout of searchsvc"):
        against.measure(tmp_path, tmp_path, n_queries=1, n_runs=1, say=silent)


def test_scale_measures_each_size_and_reads_vectors_from_a_folder(collection: Path) -> None:
    vectors = collection / "vectors"
    plan = scale.Plan(sizes=(600, 300), n_queries=10, n_searches=20, n_upserts=3, vectors=vectors)
    result = scale.measure(collection, plan, silent)
    scale.print_result(result)
    assert [row["documents"] for row in result["table"]] == [300, 600]
    for row in result["table"]:
        assert row["search_ms"]["cold"].n == row["search_ms"]["filtered"].n == 10
        assert row["upsert_to_searchable_ms"].n == 3
        assert row["resident_mb"]["service"] > row["resident_mb"]["nats-server"] > 0
        assert min(row["recall_at_100"].values()) >= 0.98
    assert list(vectors.glob("*.sqlite"))
    assert msgspec.json.encode(result)


def test_events_measures_what_is_stored_and_how_long_searches_take() -> None:
    result = events.measure(None, n_events=2_000, n_documents=N_DOCUMENTS, seconds=0.5, rounds=1, say=silent)
    events.print_result(result)
    assert (result["accepted_but_missing"], result["stored_more_than_once"]) == (0, 0)
    assert result["accepted"] >= 2_000
    assert result["offered"]["2000"]["search_ms"].n == 10


def test_recovery_measures_every_kind_of_start() -> None:
    result = recovery.measure(None, n_events=2_000, n_documents=100, say=silent)
    recovery.print_result(result)
    assert len(result["start_to_ready_s"]) == 6
    # Whether the limits hold depends on what else the machine does.
    assert [check.what for check in result["checks"]] == list(recovery.LIMITS_S)
    assert all(0.0 < seconds < START_TIMEOUT_S for seconds in result["start_to_ready_s"].values())


def test_rules_measures_matching_and_ranking() -> None:
    result = rules.measure(n_rules=200, n_searches=30, say=silent)
    rules.print_result(result)
    assert result["n_fired_most"] > 0
    assert all(figures.n >= 20 for figures in result["latency_ms"].values())


def test_isolation_measures_changes_before_and_during_an_import() -> None:
    result = isolation.measure(n_documents=200, n_quiet=3, say=silent)
    isolation.print_result(result)
    assert result["quiet_ms"].n == 3
    assert result["change_ms"].n >= 1
    assert result["new_index_ms"].n >= 1
    assert len(result["checks"]) == 2


def test_updates_measures_changes_that_are_stored_and_searchable(collection: Path) -> None:
    result = updates.measure(collection, n_rounds=2, say=silent)
    updates.print_result(result)
    rates = zip(result["stored_per_s"], result["searchable_per_s"], strict=True)
    assert [stored >= searchable > 0 for stored, searchable in rates] == [True, True]


def test_neighbours_measures_what_is_let_in_and_kept(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "paraphrases.txt").write_text("music while running\nsee in the dark\n")
    result = neighbours.measure(collection, paraphrases=tmp_path / "paraphrases.txt", say=silent)
    neighbours.print_result(result)
    assert msgspec.json.encode(result)
    assert (result["paraphrases"], result["judged"], len(result["frontier"])) == (2, 30, 4)
    cuts = [row["cut"] for row in result["frontier"]]
    assert cuts == sorted(cuts)


def test_propagation_measures_every_service() -> None:
    result = propagation.measure(n_services=2, n_changes=3, n_documents=30, say=silent)
    propagation.print_result(result)
    assert {name: figures.n for name, figures in result["weights_ms"].items()} == {"sent to": 3, "replica 1": 3}
    assert set(result["documents_ms"]) == {"sent to", "replica 1"}


@pytest.mark.parametrize("pipeline", [False, True])
def test_tuning_measures_learners_against_production(features: Path, pipeline: bool) -> None:
    plan = tuning.Plan(
        learners=("default", "pdgd", "off"),
        clicks=("informational",),
        attacks=("", "spam:0.2"),
        impressions=2000,
        n_seeds=2,
        pipeline=pipeline,
    )
    result = tuning.measure(features, plan, silent)
    tuning.print_result(result)
    assert msgspec.json.encode(result)
    assert {(row.learner, row.attack, row.seed) for row in result["rows"]} == {
        (learner, attack, seed)
        for learner in ("default", "pdgd", "off")
        for attack in ("", "spam:0.2")
        for seed in (0, 1)
    }
    by_learner = {(group["learner"], group["attack"]): group for group in result["summary"]}
    off, default = (by_learner[name, ""]["offline"]["2000"][0] for name in ("off", "default"))
    assert off == pytest.approx(result["production_ndcg"])
    assert by_learner["off", ""]["last"] == (0.0, 0.0)
    assert default > off
    assert by_learner["default", ""]["versions"]["bad"] == 0
    if pipeline:
        assert by_learner["default", ""]["versions"]["published"] > 0


def test_gate_measures_what_is_better_worse_and_neither(features: Path) -> None:
    result = gate.measure(features, clicks=("informational",), n_seeds=4, say=silent)
    gate.print_result(result)
    assert msgspec.json.encode(result)
    (figures,) = result["summary"]
    assert result["gain"] == pytest.approx(0.02, abs=0.005)
    assert result["flipped"] < -0.05
    assert figures["rolled_back"] == 1.0
    assert figures["opened_by_chance"] <= 0.06
    assert figures["alarms_by_chance"] <= 0.02


def test_tuning_live_drives_a_service_and_draws_a_chart(collection: Path) -> None:
    svg = collection / "live.svg"
    result = live.measure(collection, clicks="informational", impressions=250, seed=0, svg=svg, say=silent, n_effects=3)
    live.print_result(result)
    assert msgspec.json.encode(result)
    assert len(result["displayed"]) == len(result["displayed_production"]) == 1
    assert result["click_to_effect_ms"].n >= 3
    assert svg.read_text().startswith("<svg")
