"""What do shoppers get from a service that learns while they search?

Question   nDCG@10 of what a real service shows, over time, against its own first weights on the same queries; and how
           long it takes from a click to the first search that is ranked with what it was worth.
Data       a judged collection; shoppers are made up (benchmarks/shoppers.py), search over HTTP and click over NATS.
Baseline   the weights that the index began with.
Command    searchsvc bench tuning --live COLLECTION
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import nats.aio.client
import numpy as np

from benchmarks import report
from benchmarks.collection import JudgedQuery, documents_file, judged_queries
from benchmarks.running import RunningService
from benchmarks.searching import search
from benchmarks.shoppers import N_USERS, Attack, Shoppers
from events import server
from events.errors import require
from searchsvc.cli.data import import_documents
from tuning.learners.behavior import MIN_USERS
from tuning.metrics import ndcg

INDEX: Final = "live"
N_QUERIES: Final = 1500
WINDOW: Final = 250
SETTLE_S: Final = 1.0
# Shoppers who wait for nobody would be done before a page is closed.
PACE_S: Final = 0.01
N_EFFECTS: Final = 100
MAX_BOOST: Final = 1.5
NEAR: Final = 0.9
EFFECT_MS: Final = 1000.0
GIVE_UP_S: Final = 2.0
# Views of a document, the first twenty without a click, until it counts for something; there is time for each to tell.
N_SEEN: Final = 60
PATIENCE_S: Final = 0.15
MAX_LOST: Final = 0.3
K: Final = 10


class Change(msgspec.Struct, frozen=True):
    """What the learner published. timestamp: impressions until then."""

    timestamp: int
    kind: str
    why: str


def measure(
    collection: Path,
    *,
    clicks: str,
    impressions: int,
    seed: int,
    svg: Path | None,
    say: Callable[[str], None],
    n_effects: int = N_EFFECTS,
) -> dict[str, Any]:
    """The result as JSON would have it. svg: where to draw it. n_effects: clicks that are timed."""
    require(impressions >= WINDOW, "impressions", impressions, f"{WINDOW} or more")
    rng = np.random.default_rng([seed, 5])
    judged = judged_queries(collection)
    mixed = [judged[i] for i in rng.permutation(len(judged))]
    n = min(N_QUERIES, 2 * len(judged) // 3)
    # Of a document that many have seen, one click more says next to nothing: the clock is held to others.
    some, others = mixed[:n], mixed[n:]
    max_grade = max(grade for query in judged for grade in query.grades.values())
    shoppers = Shoppers(clicks, Attack(), max_grade, np.random.default_rng([seed, 6]))
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        # Made-up shoppers need no half minute.
        environment = {"SEARCHSVC_LEARNING_SETTLE_S": str(SETTLE_S), "SEARCHSVC_BEHAVIOR_MAX_EVENTS_PER_S": "1000000"}
        say("starting a service, and importing")
        service = RunningService(Path(scratch) / "data", environment=environment)
        try:
            import_documents(service.url, INDEX, documents_file(collection))
            with closing(service.connection()) as connection:
                began = _first_state(service, connection, some, say)
                shown, usual, times = asyncio.run(
                    _shop(service, connection, some, shoppers, began.ndcg, impressions, rng, say)
                )
                changes = _changes(service, began.seq, times)
                # Shoppers who all click the same document are made up for the clock: weights are not to follow them.
                service.call("POST", f"/v1/indexes/{INDEX}/learning/stop", {})
                service.call("PUT", f"/v1/indexes/{INDEX}/policy", {"publishers": {"weights": ["nobody"]}})
                say(f"clicking, until it counts, {n_effects} times")
                effects = asyncio.run(_effects(service, connection, others, n_effects))
        finally:
            service.stop()
    windows = [
        (float(np.mean(shown[at : at + WINDOW])), float(np.mean(usual[at : at + WINDOW])))
        for at in range(0, len(shown) - WINDOW + 1, WINDOW)
    ]
    result = {
        "benchmark": "tuning-live",
        "question": "what shoppers are shown by a service that learns from them, and how soon a click counts",
        **report.environment(seed),
        "collection": collection.name,
        "clicks": clicks,
        "impressions": impressions,
        "window": WINDOW,
        "displayed": [one for one, _ in windows],
        "displayed_production": [one for _, one in windows],
        "changes": changes,
        "click_to_effect_ms": report.latency(effects),
        "checks": [_check(effects), _gained(windows)],
    }
    if svg is not None:
        svg.write_text(drawn(windows, changes, f"{collection.name}, {clicks}"))
    return result


def print_result(result: dict[str, Any]) -> None:
    print(f"displayed nDCG@10 over the first weights, in windows of {result['window']}")
    pairs = zip(result["displayed"], result["displayed_production"], strict=True)
    for at, (shown, usual) in enumerate(pairs, start=1):
        print(f"  {at * result['window']:>7,}  {shown:.4f}  {shown - usual:+.4f}")
    for one in result["changes"]:
        print(f"  at {one.at:>6,}: {one.kind}: {one.why}")
    report.print_latency("click to effect", result["click_to_effect_ms"])
    report.print_checks(result["checks"])


def _check(effects: Sequence[float]) -> report.Check:
    p99 = float(np.percentile(effects, 99))
    return report.Check("click to effect, p99", f"<= {EFFECT_MS:g} ms", f"{p99:.0f} ms", p99 <= EFFECT_MS)


def _gained(windows: Sequence[tuple[float, float]]) -> report.Check:
    gained = float(np.mean([one - other for one, other in windows]))
    return report.Check("displayed over the first weights, mean", ">= -0.003", f"{gained:+.4f}", gained >= -0.003)


class _Begun(msgspec.Struct, frozen=True):
    """seq: of CONTROL, when learning began. ndcg: by query, of the first weights."""

    seq: int
    ndcg: dict[str, float]


def _first_state(
    service: RunningService, connection: HTTPConnection, some: Sequence[JudgedQuery], say: Callable[[str], None]
) -> _Begun:
    seq = int(service.call("GET", "/v1/state")[1]["seq"])
    found = {}
    for n, query in enumerate(some, start=1):
        # As of now: such a search is not logged.
        answer = search(connection, INDEX, {"query": query.text, "as_of": seq}).answer
        found[query.id] = ndcg([hit["id"] for hit in answer["hits"]], query.grades, K)
        if n % 500 == 0:
            say(f"the first weights on {n:,} of {len(some):,} queries: {np.mean(list(found.values())):.4f}")
    body = {"mode": "automatic", "max_boost": MAX_BOOST, "reason": "bench"}
    status, changed = service.call("PUT", f"/v1/indexes/{INDEX}/learning", body)
    if status != 200:
        raise AssertionError(f"learning was answered {status}: {changed}")
    return _Begun(int(changed["seq"]), found)


async def _shop(
    service: RunningService,
    connection: HTTPConnection,
    some: Sequence[JudgedQuery],
    shoppers: Shoppers,
    usual: dict[str, float],
    impressions: int,
    rng: np.random.Generator,
    say: Callable[[str], None],
) -> tuple[list[float], list[float], list[datetime]]:
    """nDCG of what was shown, and of what the first weights would have shown; and when."""
    shown, before, times = list[float](), list[float](), list[datetime]()
    clicker = await _clicker(service)
    try:
        for n in range(1, impressions + 1):
            began, query = time.perf_counter(), some[int(rng.integers(len(some)))]
            user = f"u{rng.integers(N_USERS)}"
            answer = search(connection, INDEX, {"query": query.text, "user_token": user}).answer
            ids = [hit["id"] for hit in answer["hits"]]
            shown.append(ndcg(ids, query.grades, K))
            before.append(usual[query.id])
            times.append(datetime.now(UTC))
            grades = np.array([query.grades.get(one, 0) for one in ids], np.int64)
            clicked = shoppers.click(grades)[0] if ids else np.zeros(0, np.bool_)
            for rank in np.flatnonzero(clicked).tolist():
                await _click(clicker, answer["query_id"], ids[rank], user)
            await asyncio.sleep(PACE_S - (time.perf_counter() - began))
            if n % 1000 == 0:
                gained = np.mean(shown[-1000:]) - np.mean(before[-1000:])
                say(f"{n:,} of {impressions:,}: displayed {np.mean(shown[-1000:]):.4f}, {gained:+.4f}")
        await clicker.flush()
    finally:
        await clicker.close()
    return shown, before, times


async def _clicker(service: RunningService) -> nats.aio.client.Client:
    address = server.read_address(service.data_dir)
    account = address.accounts["ingest"]
    return await nats.connect(address.url, user=account.user, password=account.password)


async def _click(clicker: nats.aio.client.Client, query_id: str, document_id: str, user: str) -> None:
    event = {"type": "click", "query_id": query_id, "document_id": document_id, "user_token": user}
    await clicker.publish(f"ingest.{INDEX}", msgspec.json.encode(event))


async def _effects(
    service: RunningService, connection: HTTPConnection, some: Sequence[JudgedQuery], n: int
) -> list[float]:
    """Milliseconds from a click to the first search that multiplies the document's score by something else than
    before."""
    times = list[float]()
    clicker = await _clicker(service)
    serial = n_lost = 0
    used = {""}
    try:
        for query in some:
            asked = {"query": query.text, "limit": 5}
            hits = search(connection, INDEX, asked).answer["hits"]
            # Enough have to have seen it, and nobody before.
            wanted = hits[3]["id"] if len(hits) == 5 else ""
            if wanted in used:
                continue
            used.add(wanted)
            for seen in range(N_SEEN):
                serial += 1
                user = f"effect-{serial}"
                answer = search(connection, INDEX, {**asked, "explain": True, "user_token": user}).answer
                if (_behavior(answer, wanted) or 1.0) > 1.0:
                    # From here on, each click more is told.
                    break
                if seen >= MIN_USERS and wanted in [hit["id"] for hit in answer["hits"]]:
                    await _click(clicker, answer["query_id"], wanted, user)
                    await clicker.flush()
                    await asyncio.sleep(PATIENCE_S)
            for _ in range(5 if len(times) < n else 0):
                serial += 1
                user = f"effect-{serial}"
                answer = search(connection, INDEX, {**asked, "explain": True, "user_token": user}).answer
                before = _behavior(answer, wanted)
                if before is None or not 1.0 < before < NEAR * MAX_BOOST:
                    # Where it counts for nothing yet, or for nearly all that is allowed, one click more is no change.
                    break
                started = time.perf_counter()
                await _click(clicker, answer["query_id"], wanted, user)
                await clicker.flush()
                while time.perf_counter() - started < GIVE_UP_S:
                    again = search(connection, INDEX, {**asked, "explain": True, "as_of": answer["applied_seq"]}).answer
                    if _behavior(again, wanted) != before:
                        times.append((time.perf_counter() - started) * 1e3)
                        break
                    await asyncio.sleep(0.001)
                else:
                    # It counts for too little to be told, or never does: so many may be.
                    n_lost += 1
                    break
            if len(times) >= n:
                break
    finally:
        await clicker.close()
    if len(times) < n or n_lost > MAX_LOST * n:
        raise AssertionError(f"{len(times)} of {n} clicks changed what a document is worth, {n_lost} did not")
    return times


def _behavior(answer: dict[str, Any], document_id: str) -> float | None:
    """What a hit's score is multiplied by; None where it is not among them."""
    for hit in answer["hits"]:
        if hit["id"] == document_id:
            return float(hit["explanation"]["behavior_factor"])
    return None


def _changes(service: RunningService, after: int, times: Sequence[datetime]) -> list[Change]:
    """What the learner published, and after how many impressions that was."""
    found = []
    status, audit = service.call("GET", f"/v1/audit?index={INDEX}&after={after}&limit=1000")
    if status != 200:
        raise AssertionError(f"the audit was answered {status}: {audit}")
    for entry in audit["entries"]:
        if entry["actor"] != "learner":
            continue
        trial = (entry["changed"].get("trial") or [None, None])[1]
        kind = "no trial" if trial is None else f"{trial['stage']}, {trial['alone']:.0%} alone"
        at = bisect_left(times, datetime.fromisoformat(entry["timestamp"]))
        found.append(Change(at, kind, entry["reason"]))
    return found


def drawn(windows: Sequence[tuple[float, float]], changes: Sequence[Change], title: str) -> str:
    """An SVG: what was shown, window by window, and what the first weights would have shown."""
    width, height, margin = 900, 360, 50
    values = [value for pair in windows for value in pair]
    low, high = min(values) - 0.01, max(values) + 0.01

    def point(at: int, value: float) -> str:
        x = margin + (width - 2 * margin) * at / max(len(windows) - 1, 1)
        y = height - margin - (height - 2 * margin) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for which, colour, name in ((1, "#8a8a8a", "the first weights"), (0, "#0b6e4f", "what was shown")):
        points = " ".join(point(at, pair[which]) for at, pair in enumerate(windows))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        above = margin - 25 + 16 * (1 - which)
        lines.append(f'<text x="{width - margin}" y="{above}" text-anchor="end" fill="{colour}">{name}</text>')
    for at in range(5):
        value = low + (high - low) * at / 4
        x, y = point(0, value).split(",")
        lines.append(f'<text x="{float(x) - 8:.1f}" y="{y}" text-anchor="end">{value:.3f}</text>')
        lines.append(f'<line x1="{x}" x2="{width - margin}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
    n = len(windows) * WINDOW
    lines.append(f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">impressions, to {n:,}</text>')
    lines.append(f'<text x="{margin}" y="{margin - 20}">displayed nDCG@10: {title}; {len(changes)} changes</text>')
    style = "font-family: sans-serif; font-size: 12px; background: white"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{style}">\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )
