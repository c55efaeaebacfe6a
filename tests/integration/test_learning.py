"""A real service that learns: behavior values, trials, suggestions and rollbacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.command_line import run
from tests.factories import call
from tests.running import RunningService
from tests.waiting import wait_for

SHOP = "/v1/indexes/shop"
ENVIRONMENT = {
    "SEARCHSVC_LEARNING_SETTLE_S": "0.2",
    "SEARCHSVC_BEHAVIOR_MAX_EVENTS_PER_S": "1000000",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("learning") / "data", environment=ENVIRONMENT)
    import_documents(running.url, "shop", sample_catalogue(120))
    yield running
    running.stop()


def search(service: RunningService, query: str, **parameters: Any) -> dict[str, Any]:
    """Search with explanations. A busy machine may answer in part: then the search is repeated until it is whole."""

    def whole_answer() -> dict[str, Any] | None:
        body = {"query": query, "explain": True, **parameters}
        answer: dict[str, Any] = call(service, "POST", f"{SHOP}/search", body)
        return None if answer["degraded"] else answer

    answer = wait_for(whole_answer, f"a whole answer to {query!r}")
    assert answer is not None
    return answer


def act(service: RunningService, answer: dict[str, Any], document_id: str, user: str, kind: str = "click") -> None:
    event = {"type": kind, "index": "shop", "document_id": document_id, "user_token": user}
    call(service, "POST", "/v1/events", {"events": [{**event, "query_id": answer["query_id"]}]}, status=202)


def explanation(service: RunningService, query: str, document_id: str) -> dict[str, Any]:
    answer = search(service, query, as_of=call(service, "GET", "/v1/state")["seq"], limit=50)
    return next(dict(hit["explanation"]) for hit in answer["hits"] if hit["id"] == document_id)


def behavior(service: RunningService, query: str, document_id: str) -> float:
    """Return the behavior factor of a document. The search is as of now, so that it is not logged."""
    return float(explanation(service, query, document_id)["behavior_factor"])


def of_query(service: RunningService, query: str, document_id: str) -> float:
    """Return how much better a document is under this query than under all, as a binary logarithm."""
    return float(explanation(service, query, document_id)["features"]["behavior.query"]["value"])


def alike(service: RunningService, query: str, *users: dict[str, Any]) -> list[list[str]] | None:
    """Return the order of an answer to each of two users; None if what is learnt of a document changed between them.

    users: what the two searches say of their users
    """
    # Whole lists: a document that is learnt about may come from beyond the first page.
    answers = [search(service, query, limit=100, **user)["hits"] for user in users]
    factors = [{hit["id"]: hit["explanation"]["behavior_factor"] for hit in hits} for hits in answers]
    return [[hit["id"] for hit in hits] for hits in answers] if factors[0] == factors[1] else None


def learning(service: RunningService) -> dict[str, Any]:
    value: dict[str, Any] = call(service, "GET", f"{SHOP}/learning")
    return value


def command(service: RunningService, *arguments: str) -> str:
    ran = run("tuning", *arguments, "--url", service.url)
    assert ran.status == 0, ran.output
    return ran.stdout


def test_behavior_moves_a_document_within_bounds_until_it_is_ignored(
    shop: RunningService,
) -> None:
    call(shop, "PUT", f"{SHOP}/learning", {"mode": "automatic", "max_boost": 1.3, "reason": "try it"})
    # One that comes to the top if it is promoted, and that another query finds, too.
    found = {hit["id"] for hit in search(shop, "steel speaker", limit=50)["hits"]}
    clicked = next(hit["id"] for hit in search(shop, "speaker")["hits"][1:] if hit["id"] in found)
    for n in range(80):
        user = f"speaker-{n}"
        answer = search(shop, "speaker", user_token=user)
        assert clicked in [hit["id"] for hit in answer["hits"]], f"it was on the page at first: {answer}"
        act(shop, answer, clicked, user, "add_to_cart")
    wait_for(lambda: behavior(shop, "speaker", clicked) > 1.2, "the promoted document")
    assert behavior(shop, "speaker", clicked) <= 1.3
    answer = search(shop, "speaker")
    hit = next(item for item in answer["hits"] if item["id"] == clicked)
    parts = hit["explanation"]
    assert hit["score"] == pytest.approx(
        sum(item["contribution"] for item in parts["features"].values()) * parts["behavior_factor"]
    )
    verification = call(shop, "POST", f"/v1/receipts/{answer['query_id']}/verify")
    assert {item["name"]: item["state"] for item in verification["checks"]}["scores"] == "holds"
    # Users of another query prefer other documents.
    for n in range(30):
        user = f"speakers-{n}"
        answer = search(shop, "speakers", user_token=user)
        other = next(hit["id"] for hit in answer["hits"] if hit["id"] != clicked)
        act(shop, answer, other, user, "purchase" if n % 5 == 0 else "click")
    wait_for(lambda: behavior(shop, "speakers", clicked) < 1.0, "what is learnt of the query")
    assert behavior(shop, "Speaker ", clicked) > 1.2
    # Values of the first query are examined again in turn, without new searches.
    wait_for(lambda: of_query(shop, "speaker", clicked) > 0.1, "the behavior value of the query")
    wait_for(lambda: of_query(shop, "speakers", clicked) < -0.1, "the behavior value of other queries")
    assert of_query(shop, "steel speaker", clicked) == 0.0
    # The limit takes effect at once, like any setting.
    call(shop, "PUT", f"{SHOP}/learning", {"max_boost": 1.05})
    assert behavior(shop, "speaker", clicked) == 1.05
    call(shop, "PUT", f"{SHOP}/learning", {"max_boost": 1.3})
    shown = command(shop, "show", "shop")
    assert "documents" in shown
    # There may be votes on explored pages by now, which lower the share.
    share = learning(shop)["learner"]["exploration_share"]
    assert 0.002 <= share <= 0.02
    assert f"{share:.2%} of searches swap neighbours, 2.00% at most" in shown
    output = command(shop, "unlearn", "shop", "--user-token", "speaker-0", "--reason", "a test")
    assert "relearns without it" in output
    wait_for(lambda: "relearnt" in learning(shop)["learner"]["message"], "relearning without one user")
    # It also learnt while the limit was lower.
    wait_for(lambda: behavior(shop, "speaker", clicked) > 1.1, "what the others did")
    command(shop, "unlearn", "shop", "--from", "2020-01-01T00:00:00Z", "--reason", "all of it")
    wait_for(lambda: behavior(shop, "speaker", clicked) == 1.0, "a document that is not promoted any more")
    call(shop, "PUT", f"{SHOP}/learning", {"ignored": []})
    wait_for(lambda: behavior(shop, "speaker", clicked) > 1.1, "learning what is not ignored any more")
    call(shop, "PUT", f"{SHOP}/learning", {"mode": "off"})
    assert behavior(shop, "speaker", clicked) == 1.0


def test_interleaved_and_holdout_searches_have_receipts_that_hold(shop: RunningService) -> None:
    call(shop, "PUT", f"{SHOP}/learning", {"mode": "automatic", "exploration": 0.0})
    weights = call(shop, "GET", f"{SHOP}/weights")["weights"]
    other = dict.fromkeys(weights, 0.0) | {"signal.reviews": 3.0}
    trial = {"id": "by-hand", "stage": "gate", "weights": other, "solo_share": 0.0, "decision": "a test"}
    unfit = {**trial, "ramp": {"id": "before", "weights": {"nope": 1.0}, "solo_share": 0.95}}
    refused = call(shop, "PUT", f"{SHOP}/drafts/by-hand", {"edits": [{"type": "trial", "trial": unfit}]}, status=400)
    assert refused["field"] == "trial.ramp.weights.nope"
    call(shop, "PUT", f"{SHOP}/drafts/by-hand", {"edits": [{"type": "trial", "trial": trial}]})
    call(shop, "POST", f"{SHOP}/drafts/by-hand/publish", {"reason": "a test"})
    usual = [hit["id"] for hit in search(shop, "black", as_of=call(shop, "GET", "/v1/state")["seq"])["hits"]]
    shown = [search(shop, "black", user_token=f"mugs-{n}") for n in range(12)]
    pages = {tuple(hit["id"] for hit in answer["hits"]) for answer in shown}
    assert len(pages) > 1, "coins say which version picks first"
    assert all({*page} != {*usual} or page != tuple(usual) for page in pages)
    same_user = {"user_token": "mugs-3"}
    first, again = wait_for(
        lambda: alike(shop, "black", same_user, same_user), "answers between which nothing is learnt"
    )
    assert first == again, "a user sees the same order each time"
    for answer in shown[:3]:
        verification = call(shop, "POST", f"/v1/receipts/{answer['query_id']}/verify")
        assert verification["holds"], verification
        assert {item["name"]: item["state"] for item in verification["checks"]}["order"] == "holds"
    # Some searches are the holdout, and their receipts name its weights.
    ramp = {**trial, "stage": "ramp", "solo_share": 0.5}
    call(shop, "PUT", f"{SHOP}/drafts/by-hand", {"edits": [{"type": "trial", "trial": ramp}]})
    call(shop, "POST", f"{SHOP}/drafts/by-hand/publish", {"reason": "a test"})
    answers = [search(shop, "black", user_token=f"mugs-{n}") for n in range(150)]
    by_title = [item["hits"][0]["explanation"]["features"]["bm25.title"]["weight"] for item in answers]
    holdout = [answer for answer, weight in zip(answers, by_title, strict=True) if weight == 0.0]
    assert 1 <= len(holdout) <= 20
    for answer in (holdout[0], next(item for item in answers if item not in holdout)):
        verification = call(shop, "POST", f"/v1/receipts/{answer['query_id']}/verify")
        assert verification["holds"], verification
    # Sorted searches are not part of the trial.
    assert search(shop, "black", sort=["price:asc"], user_token="mugs-1")["hits"]
    assert "trial      by-hand, ramp" in command(shop, "show", "shop")
    assert "the trial is stopped" in command(shop, "stop", "shop")
    assert learning(shop)["trial"] is None
    as_of = {"as_of": call(shop, "GET", "/v1/state")["seq"]}
    usual, now = wait_for(lambda: alike(shop, "black", as_of, same_user), "answers between which nothing is learnt")
    assert now == usual
    call(shop, "POST", f"{SHOP}/learning/stop", {}, status=404)


def test_learnt_weights_are_suggested_as_a_draft_and_survive_a_restart(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "data", environment=ENVIRONMENT)
    try:
        import_documents(service.url, "shop", sample_catalogue(120))
        call(service, "PUT", f"{SHOP}/learning", {"mode": "suggest"})
        queries = ("lamp", "mug", "speaker", "desk", "steel", "wooden", "kitchen", "light")
        clicks = []
        for n in range(400):
            answer = search(service, queries[n % len(queries)], user_token=f"u{n}")
            # Shoppers here prefer the document with most reviews, at any rank.
            hits = sorted(answer["hits"], key=lambda hit: -hit["document"].get("reviews", 0))
            if hits:
                event = {"type": "click", "index": "shop", "document_id": hits[0]["id"], "user_token": f"u{n}"}
                clicks.append({**event, "query_id": answer["query_id"]})
            if len(clicks) == 20 or n == 399:
                call(service, "POST", "/v1/events", {"events": clicks}, status=202)
                clicks = []
        suggestion = f"{SHOP}/drafts/learnt"
        draft = wait_for(lambda: service.call("GET", suggestion)[1].get("draft"), "the learner's suggestion")
        assert draft["actor"] == "learner"
        assert "of the way to the learnt weights" in draft["reason"]
        assert draft["edits"][0]["type"] == "weights"
        assert call(service, "GET", f"{SHOP}/weights")["version"] == 1, "it is not published"
        pages = wait_for(lambda: _pages(service) >= 390 and _pages(service), "closed pages")
        service.stop()
        service = RunningService(tmp_path / "data", environment=ENVIRONMENT)
        assert wait_for(lambda: _pages(service), "what was learnt") >= pages
        published = call(service, "POST", f"{SHOP}/drafts/learnt/publish", {"reason": "looks good"})
        assert published["seq"] > 0
        hits = search(service, "lamp")["hits"]
        hinges = [name for name in hits[0]["explanation"]["features"] if ">" in name]
        assert hinges, "the learnt weights include hinges"
        features = hits[0]["explanation"]["features"]
        assert hits[0]["score"] == pytest.approx(sum(item["contribution"] for item in features.values()))
        call(service, "POST", f"/v1/changes/{published['seq']}/revert", {"reason": "no"})
        assert not [name for name in call(service, "GET", f"{SHOP}/weights")["weights"] if ">" in name]
    finally:
        service.stop()


def _pages(service: RunningService) -> int:
    return int(learning(service)["learner"]["n_pages"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mode": "wild"}, "mode"),
        ({"max_boost": 0.5}, "max_boost"),
        ({"values": {"click": -1}}, "values.click"),
        ({"values": {"look": 1}}, "values.look"),
        ({"ignored": [{"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]}, "ignored[0].until"),
    ],
)
def test_invalid_learning_settings_are_refused(shop: RunningService, body: dict[str, Any], field: str) -> None:
    before = learning(shop)["learning"]
    refused = call(shop, "PUT", f"{SHOP}/learning", body, status=400)
    assert field in (refused.get("field") or refused["detail"]), refused
    assert learning(shop)["learning"] == before


def test_an_unknown_user_cannot_be_forgotten(shop: RunningService) -> None:
    body = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "user_token": "nobody"}
    assert call(shop, "POST", f"{SHOP}/learning/forget", body, status=404)["field"] == "user_token"


def test_a_trial_that_worsens_judged_queries_is_rolled_back(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "data", environment=ENVIRONMENT)
    try:
        import_documents(service.url, "shop", sample_catalogue(120))
        best = [hit["id"] for hit in search(service, "lamp", limit=3)["hits"]]
        judged = tmp_path / "judged.json"
        judged.write_bytes(msgspec.json.encode({"lamp": dict.fromkeys(best, 3)}))
        command(service, "set", "shop", "--mode", "automatic", "--judgments", str(judged))
        assert "1 queries" in command(service, "show", "shop")
        # A bad candidate that was published is rolled back on the ramp, where judged queries are checked again.
        weights = call(service, "GET", f"{SHOP}/weights")["weights"]
        good = {name: float(value) for name, value in weights.items()}
        bad = dict.fromkeys(good, 0.0) | {"signal.reviews": 3.0}
        trial = {"id": "by-hand", "stage": "ramp", "weights": good, "solo_share": 0.01}
        edits = [{"type": "weights", "weights": bad}, {"type": "trial", "trial": trial}]
        call(service, "PUT", f"{SHOP}/drafts/by-hand", {"edits": edits})
        call(service, "POST", f"{SHOP}/drafts/by-hand/publish", {"reason": "a mistake"})
        for n in range(520):
            search(service, "lamp", user_token=f"lamps-{n}")
        wait_for(lambda: learning(service)["learning"].get("frozen"), "a rollback")
        assert "judged queries falls from" in learning(service)["learning"]["frozen"]
        assert call(service, "GET", f"{SHOP}/weights")["weights"] == good
        bad_set = {"judgments": {"lamp": {"x": -1}}}
        refused = call(service, "PUT", f"{SHOP}/learning", bad_set, status=400)
        assert (refused["field"], refused["limit"]) == ("judgments.lamp.x", "0 to 10")
    finally:
        service.stop()
