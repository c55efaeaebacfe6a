"""What-ifs over a real service's log, with planted propensities."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from events import server
from events.codec import encode
from events.jetstream.event_log import connect
from events.log import Entry
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, PairSwap, RankingShown
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.search.query_ids import new_query_id
from tests.command_line import run
from tests.factories import call
from tests.running import RunningService
from tests.waiting import wait_for

SHOP = "/v1/indexes/shop"
# Of the lamps, the second is far better liked than the first.
LIKED = (0.1, 0.5, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
SWAPPED = 0.3
N_LAMPS = 6000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("what-if") / "data")
    import_documents(running.url, "shop", sample_catalogue(120))
    for request in (
        {"query": "speaker"},
        {"query": "speaker", "filters": "price<100", "limit": 3},
        {"query": "mug", "limit": 5},
    ):
        for _ in range(3):
            call(running, "POST", f"{SHOP}/search", request)
    call(running, "POST", f"{SHOP}/search", {"query": "secret", "user_token": "anna"})
    call(running, "POST", "/v1/privacy/erase", {"user_token": "anna"})
    plant(running, ranked(running, "lamp"))
    yield running
    running.stop()


def ranked(service: RunningService, query: str) -> list[str]:
    # As of now: such a search is not logged.
    request = {"query": query, "as_of": call(service, "GET", "/v1/state")["seq"]}
    return [hit["id"] for hit in call(service, "POST", f"{SHOP}/search", request)["hits"]]


def plant(service: RunningService, order: list[str]) -> None:
    """Log searches for lamps whose first two hits sometimes swapped places, with their clicks."""
    rng, liked = np.random.default_rng(5), dict(zip(order, LIKED, strict=False))
    now = datetime.now(UTC)
    events: list[BehaviorEvent] = []
    for number in range(N_LAMPS):
        swap = PairSwap(1, SWAPPED, bool(rng.random() < SWAPPED))
        shown = (order[1], order[0], *order[2:]) if swap.swapped else tuple(order)
        name = new_query_id(now)
        events.append(
            RankingShown(
                id=name,
                timestamp=now,
                index="shop",
                query="lamp",
                document_ids=shown,
                feature_names=(),
                features=tuple(() for _ in shown),
                scores=tuple(0.0 for _ in shown),
                exploration=(swap,),
                weights_version=1,
                config_version=1,
                applied_seq=1,
                user=f"u{number % 700}",
            )
        )
        for position, document_id in enumerate(shown):
            if rng.random() < liked[document_id] / (position + 1):
                events.append(
                    InteractionRecorded(
                        id=f"{name}{position}",
                        kind="click",
                        index="shop",
                        document_id=document_id,
                        query_id=name,
                        timestamp=now,
                        received_at=now,
                    )
                )

    async def write() -> None:
        address = server.read_address(service.data_dir)
        account = address.accounts["service"]
        log = await connect(address.url, user=account.user, password=account.password)
        for first in range(0, len(events), 300):
            batch = BehaviorBatch(events=events[first : first + 300])
            await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(batch)))
        await log.close()

    asyncio.run(write())


def what_if(service: RunningService, edits: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    call(service, "PUT", f"{SHOP}/drafts/trial", {"edits": edits})
    path = f"{SHOP}/drafts/trial/what-if"
    call(service, "POST", path, options, status=202)

    def finished() -> dict[str, Any] | None:
        status: dict[str, Any] = call(service, "GET", path)
        return status if status["phase"] in ("done", "failed") else None

    status = wait_for(finished, "the report")
    assert status is not None
    assert status["phase"] == "done", status
    report: dict[str, Any] = status["report"]
    return report


def pin(document_id: str, rank: int, query: str = "lamp") -> dict[str, Any]:
    conditions = {"query": {"type": "exact", "text": query}}
    actions = [{"type": "pin", "document_id": document_id, "rank": rank}]
    return {"type": "rule", "id": "trial", "rule": {"conditions": conditions, "actions": actions}}


def test_the_clicks_of_shoppers_say_that_a_draft_would_gain_clicks(shop: RunningService) -> None:
    order = ranked(shop, "lamp")
    report = what_if(shop, [pin(order[1], 1)])
    assert (report["n_rankings"], report["n_queries"], report["n_sealed"]) == (N_LAMPS + 10, 4, 1)
    assert (report["coverage"], report["overlap"]) == (1.0, 1.0)
    assert report["top_changed"] == pytest.approx(N_LAMPS / (N_LAMPS + 9))
    # First in place of second: exposure 1 in place of 1 / log2(3).
    look = (1 - 1 / np.log2(3)) * N_LAMPS / (N_LAMPS + 9)
    (won,), (lost,) = report["winners"], report["losers"]
    assert (won["id"], lost["id"], won["n_searches"]) == (order[1], order[0], N_LAMPS)
    assert (won["exposure_change"], lost["exposure_change"]) == (pytest.approx(look), pytest.approx(-look))
    assert [query["query"] for query in report["most_changed"]] == ["lamp"]
    clicks = report["expected"]["clicks"]
    truth = (LIKED[1] - LIKED[0]) * (1 - 1 / 2)
    assert clicks["type"] == "estimate"
    assert 0 < clicks["low"] < truth < clicks["high"]
    assert clicks["rankings"] == N_LAMPS
    # There were no purchases, so there is no estimate of them.
    assert report["expected"]["purchases"]["reason"].startswith("0 interactions were made on what changes")


def test_an_order_that_was_never_shown_has_no_estimate_and_judged_queries_have_ndcg(shop: RunningService) -> None:
    order = ranked(shop, "lamp")
    judgments = {"lamp": {order[5]: 3}, "speaker": {ranked(shop, "speaker")[0]: 1}, "zzzz": {}}
    report = what_if(shop, [pin(order[5], 1)], judgments=judgments)
    refused = report["expected"]["clicks"]
    assert (refused["type"], "never shown there" in refused["reason"]) == ("none", True)
    judged = report["ndcg"]
    assert judged["n"] == 3
    assert [query["query"] for query in judged["winners"]] == ["lamp"]
    assert judged["winners"][0]["after"] == 1.0
    assert judged["losers"] == []
    assert judged["after"] > judged["before"]
    report = what_if(shop, [pin(ranked(shop, "mug")[2], 1, "mug")], max_queries=1)
    assert (report["n_queries"], report["top_changed"]) == (1, 0.0)
    assert report["coverage"] == pytest.approx(N_LAMPS / (N_LAMPS + 9))
    assert report["expected"]["clicks"]["change"] == 0.0


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 91}, "days"),
        ({"max_queries": 1001}, "max_queries"),
        ({"judgments": {"lamp": {"a": -1}}}, "judgments.lamp.a"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_options_out_of_their_limits_are_refused(shop: RunningService, options: dict[str, Any], field: str) -> None:
    call(shop, "PUT", f"{SHOP}/drafts/trial", {"edits": [{"type": "weights", "weights": {"cosine": 1}}]})
    assert call(shop, "POST", f"{SHOP}/drafts/trial/what-if", options, status=400)["field"] == field
    assert call(shop, "POST", f"{SHOP}/drafts/none/what-if", {}, status=404)["field"] == "draft"
    assert call(shop, "GET", f"{SHOP}/drafts/none/what-if", status=404)["field"] == "draft"


def test_what_if_from_the_command_line(shop: RunningService, tmp_path: Path) -> None:
    order = ranked(shop, "lamp")
    call(shop, "PUT", f"{SHOP}/drafts/hand", {"edits": [pin(order[1], 1)]})
    judgments = tmp_path / "judgments.json"
    judgments.write_bytes(msgspec.json.encode({"lamp": {order[1]: 1}}))
    done = run("drafts", "what-if", "shop", "hand", "--judgments", str(judgments), "--url", shop.url)
    assert done.status == 0, done.output
    assert "clicks per search: 0." in done.stdout
    assert "nDCG@10 of 1 judged queries" in done.stdout
