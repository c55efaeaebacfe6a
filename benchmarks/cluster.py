"""What do searches notice while an index on a cluster is rebuilt, or while its node is killed?

Question   a full reindex under searches and writes: failed searches, documents missing or stale after the swap, and p99
           next to the same load without it; the node killed (-9) and started again under the same load: how searches
           were answered meanwhile, and acknowledged changes missing ten seconds after it is back.
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
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.cluster_load import Answers, Load
from benchmarks.collection import documents_file, judged_queries, lines
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService, call
from events.errors import SearchsvcError
from searchsvc.cli.data import import_documents
from searchsvc.engines.opensearch.node import Node

INDEX: Final = "bench"
# Few, because shoppers ask the same things again and again.
N_QUERIES: Final = 500
AWAY_S: Final = 10.0
# Nothing may be missing this long after the node is back.
CATCH_UP_S: Final = 10.0
ATTEMPTS: Final = 3
NODE_TIMEOUT_S: Final = 120.0
REINDEX_TIMEOUT_S: Final = 1800.0


class NodeControl(msgspec.Struct, frozen=True):
    """A node that may be killed.

    pid_file: holds the process id of the running node
    start: command that starts the node again, and runs as long as it does
    """

    url: str
    pid_file: Path
    start: str


class _Observed(msgspec.Struct, frozen=True):
    """What the load noticed.

    before, rebuilding, away: answers of the load alone, during the reindex, and while the node was away
    rebuilt: status of the reindex at its end
    away_s: how long the node was away
    n_acknowledged, n_refused: changes
    """

    before: Answers
    rebuilding: Answers
    away: Answers
    rebuilt: dict[str, Any]
    away_s: float
    missing_after_swap: int
    missing_after_kill: int
    n_acknowledged: int
    n_refused: int


def measure(
    folder: Path,
    node: NodeControl,
    *,
    searches: float,
    changes: float,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Reindex under load and kill the node; return the result as it is written to JSON.

    searches, changes: a second
    seconds: of the load alone, as baseline
    """
    prefix = f"bench-{uuid.uuid4().hex[:12]}"
    queries = [query.text for query in judged_queries(folder)]
    order = np.random.default_rng(report.SEED).permutation(len(queries))
    queries = [queries[i] for i in order[:N_QUERIES].tolist()]
    environment = {"SEARCHSVC_OPENSEARCH_URL": node.url, "SEARCHSVC_OPENSEARCH_PREFIX": prefix}
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch, ExitStack() as cleanup:
        cleanup.callback(_drop_indexes, node.url, prefix)
        service = RunningService(Path(scratch) / "data", environment=environment)
        cleanup.callback(service.stop)
        say("importing")
        n_documents = import_documents(service.url, INDEX, lines(documents_file(folder))).accepted
        ids = [msgspec.json.decode(line)["id"] for line in lines(documents_file(folder))]
        load = Load(service, INDEX, queries, ids, searches=searches, changes=changes)
        observed = _observe(service, node, load, ids, seconds, say)
    return {
        "benchmark": "cluster",
        "question": "what searches notice of a full reindex, and of a node that is killed",
        "collection": folder.name,
        **report.environment(),
        "n_documents": n_documents,
        "searches_per_s": searches,
        "changes_per_s": changes,
        "reindex_s": observed.rebuilt["seconds"],
        "canaries": observed.rebuilt["comparison"],
        "search_ms": {
            "alone": report.latency(observed.before.ms),
            "during the reindex": report.latency(observed.rebuilding.ms),
        },
        "answers": {
            "alone": dict(observed.before.kinds),
            "during the reindex": dict(observed.rebuilding.kinds),
            "node away": dict(observed.away.kinds),
        },
        "longest_answer_ms_node_away": round(max(observed.away.ms), 1),
        "node_away_s": round(observed.away_s, 1),
        "changes_acknowledged": observed.n_acknowledged,
        "changes_refused": observed.n_refused,
        "missing_after_swap": observed.missing_after_swap,
        "missing_after_kill": observed.missing_after_kill,
        "checks": _checks(observed),
    }


def _observe(
    service: RunningService,
    node: NodeControl,
    load: Load,
    ids: Sequence[str],
    seconds: float,
    say: Callable[[str], None],
) -> _Observed:
    """Run the load alone, during a reindex, and while the node is away."""
    with load:
        say("the load alone")
        # A node that was just started and filled is busy with itself at first.
        time.sleep(seconds)
        load.take_answers()
        time.sleep(seconds)
        before = load.take_answers()
        say("reindex")
        rebuilt = _reindex(service)
        rebuilding = load.take_answers()
        missing_after_swap = _count_missing(service, load, ids)
        load.take_answers()
        say("node killed")
        away_s = _kill_and_start(node)
        away, acknowledged = load.take_answers(), load.catalog_seq
        time.sleep(CATCH_UP_S)
        applied = service.call("GET", f"/v1/indexes/{INDEX}")[1]["applied_catalog_seq"]
    # Reading documents one by one takes longer than catching up: count what the index did not claim to have.
    missing_after_kill = max(acknowledged - applied, 0) + _count_missing(service, load, [])
    return _Observed(
        before,
        rebuilding,
        away,
        rebuilt,
        away_s,
        missing_after_swap,
        missing_after_kill,
        len(load.expected),
        load.n_refused,
    )


def _reindex(service: RunningService) -> dict[str, Any]:
    """Rebuild the index; return the status at the end. Raises BenchmarkFailed if it fails."""
    path = f"/v1/indexes/{INDEX}/reindex"
    service.call("POST", path)
    deadline = time.monotonic() + REINDEX_TIMEOUT_S
    while (status := service.call("GET", path)[1])["phase"] not in ("done", "failed"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if status["phase"] != "done":
        raise BenchmarkFailed(f"the reindex failed, or took longer than {REINDEX_TIMEOUT_S:g} s: {status}")
    return status


def _count_missing(service: RunningService, load: Load, ids: Sequence[str]) -> int:
    """Count documents that are not as acknowledged: missing, stale, or there though they were deleted.

    ids: more documents that must be there
    """
    wrong = list(dict.fromkeys([*load.expected, *ids]))
    with closing(service.connection()) as connection:
        # A document may change between its acknowledgement and the look at it, so look again.
        for _ in range(ATTEMPTS):
            wrong = [name for name in wrong if not _is_as_expected(connection, load, name)]
    return len(wrong)


def _is_as_expected(connection: HTTPConnection, load: Load, name: str) -> bool:
    stamp = load.expected.get(name, 0)
    status, document = call(connection, "GET", f"/v1/indexes/{INDEX}/documents/{name}")
    if stamp is None:
        return status == 404
    return status == 200 and int(document.get("stamp", 0)) >= stamp


def _kill_and_start(node: NodeControl) -> float:
    """Kill the node, leave it so for `AWAY_S`, and start it; return the seconds until it answers again."""
    began = time.monotonic()
    os.kill(int(node.pid_file.read_text()), signal.SIGKILL)
    time.sleep(AWAY_S)
    subprocess.Popen(shlex.split(node.start), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not _answers(node.url):
        if time.monotonic() > began + NODE_TIMEOUT_S:
            raise BenchmarkFailed(f"the node did not come back within {NODE_TIMEOUT_S:g} s")
        time.sleep(0.2)
    return time.monotonic() - began


def _answers(url: str) -> bool:
    with closing(Node([url])) as node:
        try:
            node.call("GET", "/_cluster/health", msgspec.Raw, query={"wait_for_status": "yellow", "timeout": "1s"})
        except SearchsvcError:
            return False
        return True


def _drop_indexes(url: str, prefix: str) -> None:
    with closing(Node([url])) as node:
        for name in node.call("GET", f"/{prefix}-*/_alias", dict[str, msgspec.Raw]):
            node.call("DELETE", f"/{name}", msgspec.Raw)


def _checks(observed: _Observed) -> list[report.Check]:
    failed = sum(n for kind, n in observed.rebuilding.kinds.items() if kind != "200")
    ratio = float(np.percentile(observed.rebuilding.ms, 99) / np.percentile(observed.before.ms, 99))
    after_swap, after_kill = observed.missing_after_swap, observed.missing_after_kill
    question = f"acknowledged changes missing {CATCH_UP_S:g} s after the node is back"
    return [
        report.Check("searches failed or degraded during the reindex", "0", str(failed), failed == 0),
        report.Check("documents missing or stale after the swap", "0", str(after_swap), after_swap == 0),
        report.Check("search p99 during the reindex", "<= 3x", f"{ratio:.2f}x", ratio <= 3.0),
        report.Check(question, "0", str(after_kill), after_kill == 0),
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
