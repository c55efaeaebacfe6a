"""Does one client's worst request hold the others?

Question   while one client sends the most expensive requests that are allowed, how long do searches of another take?
Data       a collection, and made-up indexes of documents with many values and with long texts.
Baseline   the same searches while nothing else is asked.
Command    searchsvc bench worst-requests COLLECTION
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.importing import import_collection
from benchmarks.queries import sample_queries
from benchmarks.running import RunningService, call
from searchsvc.cli.data import import_documents

TAGS: Final = "tags"
ARTICLES: Final = "articles"
COLLECTION: Final = "bench"
N_ARTICLES: Final = 100
N_TAGGED: Final = 30_000
N_TAGS: Final = 20
ARTICLE_WORDS: Final = 6000
N_QUERIES: Final = 200
PAUSE_S: Final = 0.01
# Searches of the other client before the first worst request.
N_QUIET: Final = 500
MAX_RATIO: Final = 3.0
MAX_MS: Final = 100.0


class Worst(NamedTuple):
    """A request that asks for as much as is allowed."""

    name: str
    method: str
    path: str
    body: object


def worst_requests(rng: random.Random) -> list[Worst]:
    """Return the requests; those that differ from one another each time they are sent hold no cache."""

    def search(name: str, index: str, **members: object) -> Worst:
        return Worst(name, "POST", f"/v1/indexes/{index}/search", {"query": "", **members})

    letters = "abcdefghijklmnopqrstuvwxyz"
    unknown = " ".join("".join(rng.choices(letters, k=8)) for _ in range(56))
    misspelt = " ".join(f"word{rng.randrange(3000)}x" for _ in range(48))
    tags = [f"t{rng.randrange(N_TAGGED)}_{rng.randrange(N_TAGS)}" for _ in range(199)]
    ranges = [{"from": i, "to": i + 1} for i in range(20)]
    numbered = [f"n{i}" for i in range(50)]
    rows = [{"id": f"w{i}", "title": f"lamp {i}", "body": "word " * 900} for i in range(1000)]
    click = {"type": "click", "index": TAGS, "document_id": "c1"}
    return [
        search("a plain search", TAGS, query="lamp"),
        search("50 facets of many values", TAGS, facets=[{"field": name, "max_values": 1000} for name in numbered]),
        search(
            "50 disjunctive facets",
            TAGS,
            filters=" AND ".join(f"{name}:*" for name in numbered),
            facets=[{"field": name, "max_values": 1000, "disjunctive": True} for name in numbered],
        ),
        search("20 ranges of 20 facets", TAGS, facets=[{"field": name, "ranges": ranges} for name in numbered[:20]]),
        search("a facet's values by word", TAGS, facets=[{"field": "tags", "max_values": 1000, "query": "t1"}]),
        search("199 clauses with any value", TAGS, filters=" OR ".join(["tags:*"] * 199)),
        search("199 clauses", TAGS, filters=" OR ".join(f"tags:{tag}" for tag in tags)),
        search("199 ranges", TAGS, filters=" OR ".join(f"n1:[{i} TO {i + 1}]" for i in range(199))),
        search("sorted by a text of many values", TAGS, sort=["tags:asc"] * 5, limit=1000),
        search("one a tag", TAGS, distinct="tags", limit=1000),
        search("56 unknown words", COLLECTION, query=unknown),
        search("48 misspelt words", ARTICLES, query=misspelt, operator="any"),
        search("a phrase of common words", ARTICLES, query=f'"{" ".join(["word1 word2"] * 40)}"'),
        search(
            "60 words, explained",
            ARTICLES,
            query=" ".join(f"word{i}" for i in range(60)),
            operator="any",
            explain=True,
            limit=100,
        ),
        search(
            "highlights of long texts", ARTICLES, query="lamp word1 word2", operator="any", highlight=True, limit=100
        ),
        search("a page of long texts", ARTICLES, limit=100),
        search("a page of 1,000", TAGS, limit=1000),
        Worst("1,000 documents", "POST", "/v1/indexes/written/documents", rows),
        Worst("1,000 events", "POST", "/v1/events", {"events": [click] * 1000}),
        Worst(
            "1,000 changed documents",
            "PATCH",
            f"/v1/indexes/{TAGS}/documents",
            [{"id": f"c{i}", "n1": rng.random()} for i in range(1000)],
        ),
        Worst("the state", "GET", "/v1/state", None),
        Worst("what changed", "GET", "/v1/audit?limit=1000", None),
    ]


def measure(collection: Path, *, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Send each worst request again and again while another client searches; return the result as written to JSON.

    seconds: how long each is sent
    """
    rng = random.Random(1)  # noqa: S311 - nothing is kept secret by it
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "service")
        try:
            say("importing")
            imported = import_collection(service, COLLECTION, collection)
            bare = {"searchable": [{"name": "title"}, {"name": "body"}], "title": "title", "reason": "no vectors"}
            for index, documents in ((TAGS, tagged()), (ARTICLES, articles(rng)), ("written", [])):
                _require(service.call("PUT", f"/v1/indexes/{index}", bare))
                import_documents(service.url, index, documents)
            queries = sample_queries(imported.documents, imported.settings["title"], N_QUERIES)
            with closing(service.connection()) as connection:
                quiet = _search_until(connection, queries, lambda n: n >= N_QUIET)
                rows = []
                for worst in worst_requests(rng):
                    say(worst.name)
                    rows.append(_measure_beside(service, connection, queries, worst, seconds))
        finally:
            service.stop()
    baseline = report.latency(quiet)
    for row in rows:
        row["ratio_p99"] = round(row["others_ms"].p99.value / baseline.p99.value, 2)
    slowest, widest = max(rows, key=lambda row: row["others_max_ms"]), max(rows, key=lambda row: row["ratio_p99"])
    return {
        "benchmark": "worst-requests",
        "question": "searches of one client while another sends the most expensive requests that are allowed",
        **report.environment(),
        "quiet_ms": baseline,
        "requests": rows,
        "checks": [
            report.Check(
                f"p99 of others, times quiet ({widest['request']})",
                f"<= {MAX_RATIO:g}",
                f"{widest['ratio_p99']:.2f}",
                widest["ratio_p99"] <= MAX_RATIO,
            ),
            report.Check(
                f"slowest search of others ({slowest['request']})",
                f"<= {MAX_MS:g} ms",
                f"{slowest['others_max_ms']:.0f} ms",
                slowest["others_max_ms"] <= MAX_MS,
            ),
        ],
    }


def _measure_beside(
    service: RunningService, connection: HTTPConnection, queries: list[str], worst: Worst, seconds: float
) -> dict[str, Any]:
    """Search while another client sends a request again and again."""
    stopping, took_ms, statuses = threading.Event(), list[float](), set[int]()

    def send() -> None:
        with closing(service.connection()) as other:
            while not stopping.is_set():
                started = time.perf_counter()
                statuses.add(_sent(other, worst))
                took_ms.append((time.perf_counter() - started) * 1e3)

    sender = threading.Thread(target=send)
    sender.start()
    deadline = time.monotonic() + seconds
    others = _search_until(connection, queries, lambda _: time.monotonic() > deadline)
    stopping.set()
    sender.join()
    return {
        "request": worst.name,
        "statuses": sorted(statuses),
        "n": len(took_ms),
        "took_ms": report.latency(took_ms),
        "others_ms": report.latency(others),
        "others_max_ms": round(max(others), 1),
    }


def _sent(connection: HTTPConnection, worst: Worst) -> int:
    body = worst.body
    content = b"\n".join(map(msgspec.json.encode, body)) if isinstance(body, list) else msgspec.json.encode(body)
    connection.request(worst.method, worst.path, None if body is None else content)
    response = connection.getresponse()
    response.read()
    return response.status


def _search_until(connection: HTTPConnection, queries: list[str], is_over: Callable[[int], bool]) -> list[float]:
    """Search the collection every few milliseconds; return the milliseconds of each search."""
    times: list[float] = []
    while not is_over(len(times)):
        query = queries[len(times) % len(queries)]
        started = time.perf_counter()
        _require(call(connection, "POST", f"/v1/indexes/{COLLECTION}/search", {"query": query}))
        times.append((time.perf_counter() - started) * 1e3)
        time.sleep(PAUSE_S)
    return times


def _require(answer: tuple[int, Any]) -> None:
    if answer[0] != 200:
        raise BenchmarkFailed(f"a request was answered {answer[0]}: {answer[1]}")


def tagged(n: int = N_TAGGED) -> Iterator[bytes]:
    """Yield documents with many values each, as NDJSON."""
    for i in range(n):
        numbers = {f"n{j}": (i * (j + 7)) % 5000 for j in range(50)}
        tags = [f"t{i}_{j}" for j in range(N_TAGS)]
        yield msgspec.json.encode({"id": f"c{i}", "title": f"lamp {i % 50}", "tags": tags, **numbers}) + b"\n"


def articles(rng: random.Random, n: int = N_ARTICLES) -> Iterator[bytes]:
    """Yield long documents, as NDJSON."""
    words = [f"word{i}" for i in range(3000)]
    for i in range(n):
        body = " ".join(rng.choices(words, k=ARTICLE_WORDS))
        yield msgspec.json.encode({"id": f"a{i}", "title": f"lamp {i}", "body": body}) + b"\n"


def print_result(result: dict[str, Any]) -> None:
    report.print_latency("quiet", result["quiet_ms"])
    for row in result["requests"]:
        others = row["others_ms"]
        print(
            f"{row['request']:34} {row['statuses']} took {row['took_ms'].p50.value:7.1f} ms; others "
            f"p50 {others.p50.value:6.1f}  p99 {others.p99.value:6.1f} ({row['ratio_p99']:g} times)  "
            f"max {row['others_max_ms']:g}"
        )
    report.print_checks(result["checks"])
