"""How long until a change is in effect everywhere?

Question   from sending a change of weights or rules, or a document, to one of several services on one NATS server, to
           the first answer of each service that is ranked with it.
Data       the sample catalogue, on every service.
Baseline   the service that was sent the change.
Command    searchsvc bench propagation
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService, call
from events import server
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

INDEX: Final = "bench"
LIMIT_MS: Final = 20.0
PAUSE_S: Final = 0.02
IMPORT_TIMEOUT_S: Final = 120.0


def measure(*, n_services: int, n_changes: int, n_documents: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Change weights, rules and documents; return the result as it is written to JSON.

    n_changes: of each kind
    n_documents: in the catalogue
    """
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch, ExitStack() as cleanup:
        nats = server.start(Path(scratch) / "store")
        cleanup.callback(nats.stop)
        account = nats.address.accounts["service"]
        environment = {
            "SEARCHSVC_NATS_URL": nats.address.url,
            "SEARCHSVC_NATS_USER": account.user,
            "SEARCHSVC_NATS_PASSWORD": account.password,
        }
        services: list[RunningService] = []
        for i in range(n_services):
            say(f"starting service {i + 1} of {n_services}")
            services.append(RunningService(Path(scratch) / f"service-{i}", environment=environment))
            cleanup.callback(services[-1].stop)
        say("importing")
        import_documents(services[0].url, INDEX, sample_catalogue(n_documents))
        for service in services:
            _await_documents(service, n_documents)
        connection = cleanup.enter_context(closing(services[0].connection()))
        say("changing weights")
        weights = _changes(services, n_changes, "min_seq", partial(_change_weights, connection))
        say("changing rules")
        rules = _changes(services, n_changes, "min_seq", partial(_change_rule, connection))
        say("writing documents")
        documents = _changes(services, n_changes, "min_catalog_seq", partial(_write_document, connection))
    figures = {"weights_ms": _figures(weights), "rules_ms": _figures(rules), "documents_ms": _figures(documents)}
    slowest = {
        kind: max(latency.p99.value for latency in figures[kind].values()) for kind in ("weights_ms", "rules_ms")
    }
    return {
        "benchmark": "propagation",
        "question": "a change sent to one service to the first answer of each that was ranked with it",
        **report.environment(),
        "n_services": n_services,
        "n_documents": n_documents,
        **figures,
        "checks": [_check(kind.removesuffix("_ms"), ms) for kind, ms in slowest.items()],
    }


def _check(kind: str, ms: float) -> report.Check:
    return report.Check(f"{kind}: slowest service, p99", f"<= {LIMIT_MS:g} ms", f"{ms:.1f} ms", ms <= LIMIT_MS)


def _change_weights(connection: HTTPConnection, n: int) -> int:
    change = {"weights": {"cosine": 5.0 + n % 2}, "reason": "bench"}
    status, changed = call(connection, "PUT", f"/v1/indexes/{INDEX}/weights", change)
    return int(changed["seq"]) if status == 200 else 0


def _change_rule(connection: HTTPConnection, n: int) -> int:
    rule = {
        "conditions": {"query": {"type": "contains", "text": "lamp"}},
        "actions": [{"type": "boost", "filter": "price>50", "factor": 2.0 + n % 2}],
        "reason": "bench",
    }
    status, changed = call(connection, "PUT", f"/v1/indexes/{INDEX}/rules/bench", rule)
    return int(changed["seq"]) if status == 200 else 0


def _write_document(connection: HTTPConnection, n: int) -> int:
    document = {"id": "bench", "title": f"a lamp, the {n}th"}
    status, written = call(connection, "POST", f"/v1/indexes/{INDEX}/documents", document)
    return int(written["catalog_seq"]) if status == 200 else 0


def _changes(services: list[RunningService], n: int, waits_for: str, send: Callable[[int], int]) -> list[list[float]]:
    """Make n changes, one after another; return the milliseconds of each change for every service.

    On every service a search that waits for the change is on its way before the change is sent, so only the change's
    own way is measured.

    waits_for: search member with the sequence to wait for
    send: makes the change of a number and returns its sequence
    """
    expected = send(0)
    times: list[list[float]] = [[] for _ in services]
    for number in range(1, n + 1):
        expected += 1
        answered = [0.0] * len(services)

        def search(position: int, seq: int, answered: list[float] = answered) -> None:
            with closing(services[position].connection()) as connection:
                request = {"query": "desk lamp", waits_for: seq}
                status, answer = call(connection, "POST", f"/v1/indexes/{INDEX}/search", request)
                answered[position] = time.perf_counter()
                if status != 200:
                    raise BenchmarkFailed(f"the search that waited was answered {status}: {answer}")

        threads = [threading.Thread(target=search, args=(i, expected)) for i in range(len(services))]
        for thread in threads:
            thread.start()
        time.sleep(PAUSE_S)
        sent = time.perf_counter()
        seq = send(number)
        for thread in threads:
            thread.join()
        if seq != expected or not all(answered):
            raise BenchmarkFailed(f"the change has sequence {seq}, but searches waited for {expected}")
        for i, answered_at in enumerate(answered):
            times[i].append((answered_at - sent) * 1e3)
    return times


def _await_documents(service: RunningService, n: int) -> None:
    deadline = time.monotonic() + IMPORT_TIMEOUT_S
    while service.call("GET", f"/v1/indexes/{INDEX}")[1].get("n_documents") != n:
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{service.url} did not get its {n} documents within {IMPORT_TIMEOUT_S:g} s")
        time.sleep(0.1)


def _figures(times: list[list[float]]) -> dict[str, report.Latency]:
    names = ["sent to", *(f"replica {i}" for i in range(1, len(times)))]
    return {name: report.latency(values) for name, values in zip(names, times, strict=True)}


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['n_services']} services on one server, {result['n_documents']} documents")
    for kind in ("weights_ms", "rules_ms", "documents_ms"):
        for name, figures in result[kind].items():
            report.print_latency(f"{kind.removesuffix('_ms')}, {name}", figures)
    report.print_checks(result["checks"])
