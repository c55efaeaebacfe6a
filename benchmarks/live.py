"""What do shoppers get from a service that learns while they search?

Question   nDCG@10 of what a real service shows, over time, against its own first weights on the same queries; and the
           time from a click to the first search whose ranking it changes.
Data       a judged collection; shoppers are simulated (benchmarks/shoppers.py), search over HTTP and click over NATS.
Baseline   the weights that the index began with.
Command    searchsvc bench tuning --live COLLECTION
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.chart import line_chart
from benchmarks.clicker import clicker
from benchmarks.collection import JudgedQuery, documents_file, judged_queries
from benchmarks.effects import ClickEffects
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService
from benchmarks.searching import search
from benchmarks.shoppers import N_USERS, Attack, Shoppers
from events.errors import require
from searchsvc.cli.data import import_documents
from tuning.metrics import ndcg

INDEX: Final = "live"
N_QUERIES: Final = 1500
WINDOW: Final = 250
# Simulated shoppers click at once: a page need not stay open for half a minute.
SETTLE_S: Final = 1.0
# At full speed, shoppers would be done before the first page is closed.
PACE_S: Final = 0.01
N_EFFECTS: Final = 100
MAX_BOOST: Final = 1.5
EFFECT_MS: Final = 1000.0
LEAST_GAIN: Final = -0.003
K: Final = 10


class Change(msgspec.Struct, frozen=True):
    """What the learner published.

    n_impressions: impressions until then
    """

    n_impressions: int = msgspec.field(name="at")
    kind: str
    why: str


class Shown(msgspec.Struct):
    """What shoppers were shown, an entry an impression.

    ndcg, first_ndcg: nDCG@10 as shown, and as the first weights rank
    """

    ndcg: list[float] = []
    first_ndcg: list[float] = []
    timestamps: list[datetime] = []

    def windows(self) -> list[tuple[float, float]]:
        """Return the means of both nDCGs in each whole window."""
        starts = range(0, len(self.ndcg) - WINDOW + 1, WINDOW)
        return [
            (float(np.mean(self.ndcg[n : n + WINDOW])), float(np.mean(self.first_ndcg[n : n + WINDOW]))) for n in starts
        ]


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
    """Let simulated shoppers use a service; return the result as it is written to JSON.

    clicks: click model
    svg: file to draw a chart to
    n_effects: clicks to time
    """
    require(impressions >= WINDOW, "impressions", impressions, f"{WINDOW} or more")
    rng = np.random.default_rng([seed, 5])
    judged = judged_queries(collection)
    mixed = [judged[i] for i in rng.permutation(len(judged))]
    n_shopped = min(N_QUERIES, 2 * len(judged) // 3)
    max_grade = max(grade for query in judged for grade in query.grades.values())
    shoppers = Shoppers(clicks, Attack(), max_grade, np.random.default_rng([seed, 6]))
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        environment = {"SEARCHSVC_LEARNING_SETTLE_S": str(SETTLE_S), "SEARCHSVC_BEHAVIOR_MAX_EVENTS_PER_S": "1000000"}
        say("starting a service, and importing")
        service = RunningService(Path(scratch) / "data", environment=environment)
        try:
            import_documents(service.url, INDEX, documents_file(collection))
            with closing(service.connection()) as connection:
                first_ndcg = _first_ndcg(service, connection, mixed[:n_shopped], say)
                start_seq = _start_learning(service)
                crowd = _Crowd(mixed[:n_shopped], shoppers, rng, first_ndcg)
                shown = asyncio.run(crowd.shop(service, connection, impressions, say))
                changes = _changes(service, start_seq, shown.timestamps)
                _stop_learning(service)
                say(f"timing {n_effects} clicks")
                # With queries of their own: one click more changes little about a document that many have seen.
                effects = asyncio.run(_click_effects(service, connection, mixed[n_shopped:], n_effects))
        finally:
            service.stop()
    windows = shown.windows()
    if svg is not None:
        title = f"displayed nDCG@10: {collection.name}, {clicks}; {len(changes)} changes"
        svg.write_text(line_chart(windows, title, f"impressions, to {len(windows) * WINDOW:,}"))
    return {
        "benchmark": "tuning-live",
        "question": "what shoppers are shown by a service that learns from them, and how soon a click counts",
        **report.environment(seed),
        "collection": collection.name,
        "clicks": clicks,
        "impressions": impressions,
        "window": WINDOW,
        "displayed": [displayed for displayed, _ in windows],
        "displayed_production": [first for _, first in windows],
        "changes": changes,
        "click_to_effect_ms": report.latency(effects),
        "checks": _checks(effects, windows),
    }


def _first_ndcg(
    service: RunningService, connection: HTTPConnection, queries: Sequence[JudgedQuery], say: Callable[[str], None]
) -> dict[str, float]:
    """Return nDCG@10 of the first weights by query id."""
    seq = int(service.call("GET", "/v1/state")[1]["seq"])
    values: dict[str, float] = {}
    for n, query in enumerate(queries, start=1):
        # A search as of a sequence is not logged.
        answer = search(connection, INDEX, {"query": query.text, "as_of": seq}).answer
        values[query.id] = ndcg([hit["id"] for hit in answer["hits"]], query.grades, K)
        if n % 500 == 0:
            say(f"the first weights on {n:,} of {len(queries):,} queries: {np.mean(list(values.values())):.4f}")
    return values


def _start_learning(service: RunningService) -> int:
    """Let the service learn and publish by itself; return the sequence of that change."""
    body = {"mode": "automatic", "max_boost": MAX_BOOST, "reason": "bench"}
    status, changed = service.call("PUT", f"/v1/indexes/{INDEX}/learning", body)
    if status != 200:
        raise BenchmarkFailed(f"learning was answered {status}: {changed}")
    return int(changed["seq"])


def _stop_learning(service: RunningService) -> None:
    """Keep the weights as they are, while clicks are timed that no shopper would make."""
    service.call("POST", f"/v1/indexes/{INDEX}/learning/stop", {})
    service.call("PUT", f"/v1/indexes/{INDEX}/policy", {"publishers": {"weights": ["nobody"]}})


class _Crowd:
    """Shoppers who search for the same queries again and again.

    first_ndcg: of the first weights, by query id
    """

    def __init__(
        self,
        queries: Sequence[JudgedQuery],
        shoppers: Shoppers,
        rng: np.random.Generator,
        first_ndcg: Mapping[str, float],
    ) -> None:
        self._queries = queries
        self._shoppers = shoppers
        self._rng = rng
        self._first_ndcg = first_ndcg

    async def shop(
        self, service: RunningService, connection: HTTPConnection, impressions: int, say: Callable[[str], None]
    ) -> Shown:
        """Search and click, one search after another."""
        shown = Shown()
        async with clicker(service, INDEX) as clicks:
            for n in range(1, impressions + 1):
                began, query = time.perf_counter(), self._queries[int(self._rng.integers(len(self._queries)))]
                user = f"u{self._rng.integers(N_USERS)}"
                answer = search(connection, INDEX, {"query": query.text, "user_token": user}).answer
                ids = [hit["id"] for hit in answer["hits"]]
                shown.ndcg.append(ndcg(ids, query.grades, K))
                shown.first_ndcg.append(self._first_ndcg[query.id])
                shown.timestamps.append(datetime.now(UTC))
                grades = np.array([query.grades.get(document_id, 0) for document_id in ids], np.int64)
                clicked = self._shoppers.click(grades)[0] if ids else np.zeros(0, np.bool_)
                for position in np.flatnonzero(clicked).tolist():
                    await clicks.click(answer["query_id"], ids[position], user)
                await asyncio.sleep(PACE_S - (time.perf_counter() - began))
                if n % 1000 == 0:
                    gain = np.mean(shown.ndcg[-1000:]) - np.mean(shown.first_ndcg[-1000:])
                    say(f"{n:,} of {impressions:,}: displayed {np.mean(shown.ndcg[-1000:]):.4f}, {gain:+.4f}")
            await clicks.flush()
        return shown


async def _click_effects(
    service: RunningService, connection: HTTPConnection, queries: Sequence[JudgedQuery], n: int
) -> list[float]:
    async with clicker(service, INDEX) as clicks:
        return await ClickEffects(connection, clicks, INDEX, MAX_BOOST).measure(queries, n)


def _changes(service: RunningService, after: int, timestamps: Sequence[datetime]) -> list[Change]:
    """Return what the learner published, and after how many impressions. timestamps: of the impressions."""
    status, audit = service.call("GET", f"/v1/audit?index={INDEX}&after={after}&limit=1000")
    if status != 200:
        raise BenchmarkFailed(f"the audit was answered {status}: {audit}")
    changes = []
    for entry in audit["entries"]:
        if entry["actor"] != "learner":
            continue
        trial = (entry["changed"].get("trial") or [None, None])[1]
        kind = "no trial" if trial is None else f"{trial['stage']}, solo share {trial['solo_share']:.0%}"
        n_impressions = bisect_left(timestamps, datetime.fromisoformat(entry["timestamp"]))
        changes.append(Change(n_impressions, kind, entry["reason"]))
    return changes


def _checks(effects: Sequence[float], windows: Sequence[tuple[float, float]]) -> list[report.Check]:
    p99 = float(np.percentile(effects, 99))
    gain = float(np.mean([displayed - first for displayed, first in windows]))
    return [
        report.Check("click to effect, p99", f"<= {EFFECT_MS:g} ms", f"{p99:.0f} ms", p99 <= EFFECT_MS),
        report.Check("displayed over the first weights, mean", f">= {LEAST_GAIN}", f"{gain:+.4f}", gain >= LEAST_GAIN),
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"displayed nDCG@10 over the first weights, in windows of {result['window']}")
    pairs = zip(result["displayed"], result["displayed_production"], strict=True)
    for number, (displayed, first) in enumerate(pairs, start=1):
        print(f"  {number * result['window']:>7,}  {displayed:.4f}  {displayed - first:+.4f}")
    for change in result["changes"]:
        print(f"  at {change.n_impressions:>6,}: {change.kind}: {change.why}")
    report.print_latency("click to effect", result["click_to_effect_ms"])
    report.print_checks(result["checks"])
