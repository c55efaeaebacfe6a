"""What do searches notice while an index on a cluster is built anew, or while its node is killed?

Question   a full reindex under searches and writes: searches that fail, documents missing or stale after the swap, p99
           beside the same load without it; the node killed (-9) and started again under the same load: what searches
           were answered meanwhile, and acknowledged changes missing ten seconds after it is back
Data       a judged folder (docs/how-to/measure-relevance.md)
Baseline   the same load right before
Command    make bench-cluster     (needs an OpenSearch node of its own, which it kills)
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.collection import documents_file, judged_queries, lines
from benchmarks.running import RunningService, call
from events.errors import SearchsvcError
from searchsvc.cli.data import import_documents
from searchsvc.engines.opensearch.node import Node

INDEX: Final = "bench"
LIMIT: Final = 10
# Shoppers ask the same things again and again.
N_QUERIES: Final = 500
N_SEARCHING: Final = 2
AWAY_S: Final = 10.0
# The figure asked for: nothing is missing so long after the node is back.
CAUGHT_UP_S: Final = 10.0
LOOKS: Final = 3
NODE_PATIENCE_S: Final = 120.0
REINDEX_PATIENCE_S: Final = 1800.0


class NodeControl(msgspec.Struct, frozen=True):
    """A node that may be killed. pid_file: of its process, for as long as that runs. start: a command that starts it
    again, and goes on as long as the node."""

    url: str
    pid_file: Path
    start: str


class Answered(msgspec.Struct):
    """What became of searches. ms: from when each was to be sent until it was answered. kinds: status and degraded."""

    ms: list[float] = []
    kinds: Counter[str] = msgspec.field(default_factory=Counter)


class Load:
    """Searches and changes at fixed rates, until it is left.

    expected: document id -> the stamp of the last change that was acknowledged, None where that was a deletion. What
    may or may not be stored is not among them.
    """

    def __init__(
        self, service: RunningService, queries: Sequence[str], ids: Sequence[str], *, searches: float, changes: float
    ) -> None:
        self._service = service
        self._queries = queries
        self._ids = ids
        self._rng = np.random.default_rng(report.SEED)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answered = Answered()
        self._n_changes = 0
        self.expected: dict[str, int | None] = {}
        self.n_refused = 0
        self.catalog_seq = 0
        self._threads = [
            threading.Thread(target=self._repeat, args=(searches / N_SEARCHING, self._searcher(part)))
            for part in range(N_SEARCHING)
        ]
        self._threads.append(threading.Thread(target=self._repeat, args=(changes, self._change)))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def taken(self) -> Answered:
        """What was answered since the last time this was asked."""
        with self._lock:
            answered, self._answered = self._answered, Answered()
        return answered

    def _repeat(self, rate: float, once: Callable[[Any, float], None]) -> None:
        due = time.perf_counter()
        with closing(self._service.connection()) as connection:
            while not self._stop.is_set():
                due += 1.0 / rate
                self._stop.wait(max(0.0, due - time.perf_counter()))
                once(connection, due)

    def _searcher(self, part: int) -> Callable[[Any, float], None]:
        queries = cycle(self._queries[part::N_SEARCHING])

        def search(connection: Any, due: float) -> None:
            asked = {"query": next(queries)[:512], "limit": LIMIT}
            status, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/search", asked)
            ms = (time.perf_counter() - due) * 1e3
            with self._lock:
                self._answered.ms.append(ms)
                self._answered.kinds[" ".join([str(status), *answer.get("degraded", [])])] += 1

        return search

    def _change(self, connection: Any, due: float) -> None:
        """Seven of ten change a document, two are new, one takes a new one away again."""
        self._n_changes += 1
        stamp, kind = self._n_changes, self._n_changes % 10
        new = [name for name, at in self.expected.items() if at is not None and name.startswith("new-")]
        path = f"/v1/indexes/{INDEX}/documents"
        if kind == 0 and new:
            name, stored = new[0], None
            status, said = call(connection, "DELETE", f"{path}/{name}")
        else:
            name = f"new-{stamp}" if kind < 3 else self._ids[int(self._rng.integers(len(self._ids)))]
            stored = stamp
            document = {"id": name, "title": f"changed {stamp}", "stamp": stamp}
            status, said = call(connection, "POST", path, document)
        if status == 200:
            self.expected[name] = stored
            self.catalog_seq = max(self.catalog_seq, said["catalog_seq"])
        else:
            self.expected.pop(name, None)
            self.n_refused += 1


def measure(
    folder: Path,
    node: NodeControl,
    *,
    searches: float,
    changes: float,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The result as JSON would have it. searches, changes: a second. seconds: of the load before, as baseline."""
    prefix = f"bench-{uuid.uuid4().hex[:12]}"
    queries = [query.text for query in judged_queries(folder)]
    order = np.random.default_rng(report.SEED).permutation(len(queries))
    queries = [queries[at] for at in order[:N_QUERIES].tolist()]
    environment = {"SEARCHSVC_OPENSEARCH_URL": node.url, "SEARCHSVC_OPENSEARCH_PREFIX": prefix}
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "data", environment=environment)
        try:
            say("importing")
            n_documents = import_documents(service.url, INDEX, lines(documents_file(folder))).accepted
            ids = [msgspec.json.decode(line)["id"] for line in lines(documents_file(folder))]
            with Load(service, queries, ids, searches=searches, changes=changes) as load:
                say("the load alone")
                # A node that was just started and filled is busy with itself at first.
                time.sleep(seconds)
                load.taken()
                time.sleep(seconds)
                alone = load.taken()
                say("reindex")
                rebuilt = _reindexed(service)
                during = load.taken()
                missing_after_swap = _missing(service, load, ids)
                load.taken()
                say("node killed")
                back_s = _killed_and_started(node)
                killed, acknowledged = load.taken(), load.catalog_seq
                time.sleep(CAUGHT_UP_S)
                applied = service.call("GET", f"/v1/indexes/{INDEX}")[1]["applied_catalog_seq"]
            # Looked at one by one, which takes longer, only those that it says it has can be missing.
            missing_after_kill = max(acknowledged - applied, 0) + _missing(service, load, [])
        finally:
            service.stop()
            _dropped(node.url, prefix)
    return {
        "benchmark": "cluster",
        "question": "what searches notice of a full reindex, and of a node that is killed",
        "collection": folder.name,
        **report.environment(),
        "n_documents": n_documents,
        "searches_per_s": searches,
        "changes_per_s": changes,
        "reindex_s": rebuilt["seconds"],
        "canaries": rebuilt["comparison"],
        "search_ms": {name: report.latency(one.ms) for name, one in (("alone", alone), ("during the reindex", during))},
        "answers": {
            name: dict(one.kinds)
            for name, one in (("alone", alone), ("during the reindex", during), ("node away", killed))
        },
        "longest_answer_ms_node_away": round(max(killed.ms), 1),
        "node_away_s": round(back_s, 1),
        "changes_acknowledged": len(load.expected),
        "changes_refused": load.n_refused,
        "missing_after_swap": missing_after_swap,
        "missing_after_kill": missing_after_kill,
        "checks": _checks(alone, during, missing_after_swap, missing_after_kill),
    }


def _reindexed(service: RunningService) -> dict[str, Any]:
    """How the rebuild ended. Raises AssertionError where it failed."""
    path = f"/v1/indexes/{INDEX}/reindex"
    service.call("POST", path)
    deadline = time.monotonic() + REINDEX_PATIENCE_S
    while (status := service.call("GET", path)[1])["phase"] not in ("done", "failed"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if status["phase"] != "done":
        raise AssertionError(f"the reindex did not end well: {status}")
    return status


def _missing(service: RunningService, load: Load, ids: Sequence[str]) -> int:
    """Documents that are not as they were acknowledged to be: missing, older, or there though they were deleted. ids:
    of others that have to be there."""
    wrong = list(dict.fromkeys([*load.expected, *ids]))
    with closing(service.connection()) as connection:
        # Some are changed while they are looked at: those are looked at again.
        for _ in range(LOOKS):
            wrong = [name for name in wrong if not _is_as_expected(connection, load, name)]
    return len(wrong)


def _is_as_expected(connection: Any, load: Load, name: str) -> bool:
    wanted = load.expected.get(name, 0)
    status, document = call(connection, "GET", f"/v1/indexes/{INDEX}/documents/{name}")
    if wanted is None:
        return status == 404
    return status == 200 and int(document.get("stamp", 0)) >= wanted


def _killed_and_started(node: NodeControl) -> float:
    """Seconds that the node was away: killed, left so for a while, and started until it answers."""
    began = time.monotonic()
    os.kill(int(node.pid_file.read_text()), signal.SIGKILL)
    time.sleep(AWAY_S)
    subprocess.Popen(shlex.split(node.start), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not _answers(node.url):
        if time.monotonic() > began + NODE_PATIENCE_S:
            raise AssertionError(f"the node did not come back within {NODE_PATIENCE_S:g} s")
        time.sleep(0.2)
    return time.monotonic() - began


def _answers(url: str) -> bool:
    with closing(Node([url])) as node:
        try:
            node.call("GET", "/_cluster/health", msgspec.Raw, query={"wait_for_status": "yellow", "timeout": "1s"})
        except SearchsvcError:
            return False
        return True


def _dropped(url: str, prefix: str) -> None:
    with closing(Node([url])) as node:
        for name in node.call("GET", f"/{prefix}-*/_alias", dict[str, msgspec.Raw]):
            node.call("DELETE", f"/{name}", msgspec.Raw)


def _checks(alone: Answered, during: Answered, after_swap: int, after_kill: int) -> list[report.Check]:
    failed = sum(n for kind, n in during.kinds.items() if kind != "200")
    ratio = float(np.percentile(during.ms, 99) / np.percentile(alone.ms, 99))
    return [
        report.Check("searches failed or degraded during the reindex", "0", str(failed), failed == 0),
        report.Check("documents missing or stale after the swap", "0", str(after_swap), after_swap == 0),
        report.Check("search p99 during the reindex", "<= 3x", f"{ratio:.2f}x", ratio <= 3.0),
        report.Check(
            f"acknowledged changes missing {CAUGHT_UP_S:g} s after the node is back",
            "0",
            str(after_kill),
            not after_kill,
        ),
    ]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_documents']} documents, ", end="")
    print(f"{result['searches_per_s']:g} searches and {result['changes_per_s']:g} changes a second; milliseconds")
    for name, figures in result["search_ms"].items():
        report.print_latency(name, figures)
    for name, kinds in result["answers"].items():
        print(f"  {name:38} " + ", ".join(f"{n} x {kind}" for kind, n in kinds.items()))
    print(f"  reindex {result['reindex_s']:.1f} s; node away {result['node_away_s']:.1f} s, ", end="")
    print(f"longest answer meanwhile {result['longest_answer_ms_node_away']:.0f} ms")
    report.print_checks(result["checks"])
