"""Does an import delay other indexes?

Question   while one index takes many documents, how long until a change of another index is searchable, and until a new
           index is served?
Data       a small index of the sample catalogue; an import of products that are encoded one by one.
Baseline   the same changes before the import.
Command    searchsvc bench isolation
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService, call
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue

SMALL: Final = "small"
LARGE: Final = "large"
SMALL_DOCUMENTS: Final = 200
NEW_DOCUMENTS: Final = 10
# A new index is made after so many changes.
CHANGES_A_NEW_INDEX: Final = 20
PAUSE_S: Final = 0.02
MAX_CHANGE_MS: Final = 1000.0
MAX_NEW_INDEX_MS: Final = 2000.0
TIMEOUT_S: Final = 120.0


def measure(*, n_documents: int, n_quiet: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Change one index before and during an import into another; return the result as it is written to JSON.

    n_documents: of the import
    n_quiet: changes before it
    """
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "service")
        try:
            say("importing the small index")
            import_documents(service.url, SMALL, sample_catalogue(SMALL_DOCUMENTS))
            with closing(service.connection()) as connection:
                say("changing it")
                quiet = [_change(connection, number) for number in range(n_quiet)]
                say("changing it during an import")
                started = time.perf_counter()
                importing = threading.Thread(target=import_documents, args=(service.url, LARGE, _products(n_documents)))
                importing.start()
                changes, new_indexes = list[float](), list[float]()
                while importing.is_alive():
                    changes.append(_change(connection, n_quiet + len(changes)))
                    if len(changes) % CHANGES_A_NEW_INDEX == 1:
                        new_indexes.append(_new_index(connection, f"new-{len(new_indexes)}"))
                    time.sleep(PAUSE_S)
                importing.join()
                seconds = time.perf_counter() - started
                n_indexed = service.call("GET", f"/v1/indexes/{LARGE}")[1].get("n_documents")
        finally:
            service.stop()
    if n_indexed != n_documents:
        raise BenchmarkFailed(f"the import ended with {n_indexed} of {n_documents} documents")
    during, made = report.latency(changes), report.latency(new_indexes)
    return {
        "benchmark": "isolation",
        "question": "a change, or a new index, to the first answer that has it, while another index takes documents",
        **report.environment(),
        "n_documents": n_documents,
        "documents_per_s": round(n_documents / seconds, 1),
        "quiet_ms": report.latency(quiet),
        "change_ms": during,
        "new_index_ms": made,
        "checks": [
            _check("a change during the import, p99", during.p99.value, MAX_CHANGE_MS),
            _check("a new index during the import, slowest", max(new_indexes), MAX_NEW_INDEX_MS),
        ],
    }


def _check(name: str, ms: float, most_ms: float) -> report.Check:
    return report.Check(name, f"<= {most_ms:g} ms", f"{ms:.0f} ms", ms <= most_ms)


def _products(n: int) -> Iterator[bytes]:
    """Yield products of which no two have the same text, so that each is encoded."""
    for number, line in enumerate(sample_catalogue(n)):
        product = msgspec.json.decode(line)
        yield msgspec.json.encode({**product, "title": f"{product['title']} {number}"}) + b"\n"


def _change(connection: HTTPConnection, number: int) -> float:
    """Write a document; return the milliseconds until a search has it."""
    started = time.perf_counter()
    document = {"id": "bench", "title": f"a lamp, the {number}th"}
    status, written = call(connection, "POST", f"/v1/indexes/{SMALL}/documents", document)
    if status != 200:
        raise BenchmarkFailed(f"the document was answered {status}: {written}")
    _await(connection, SMALL, {"query": "lamp", "min_catalog_seq": written["catalog_seq"]}, 0)
    return (time.perf_counter() - started) * 1e3


def _new_index(connection: HTTPConnection, name: str) -> float:
    """Make an index of some documents; return the milliseconds until a search has them."""
    started = time.perf_counter()
    for number in range(NEW_DOCUMENTS):
        document = {"id": str(number), "title": f"{name} lamp {number}"}
        status, written = call(connection, "POST", f"/v1/indexes/{name}/documents", document)
        if status != 200:
            raise BenchmarkFailed(f"the document was answered {status}: {written}")
    _await(connection, name, {"query": "", "limit": 0}, NEW_DOCUMENTS)
    return (time.perf_counter() - started) * 1e3


def _await(connection: HTTPConnection, index: str, search: dict[str, Any], n: int) -> None:
    """Search until the answer has n documents or more."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        status, answer = call(connection, "POST", f"/v1/indexes/{index}/search", search)
        if status == 200 and answer["total"] >= n:
            return
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{index} was not searchable within {TIMEOUT_S:g} s: {answer}")
        time.sleep(PAUSE_S)


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['n_documents']} documents imported at {result['documents_per_s']:g} a second")
    report.print_latency("a change before", result["quiet_ms"])
    report.print_latency("a change meanwhile", result["change_ms"])
    report.print_latency("a new index meanwhile", result["new_index_ms"])
    report.print_checks(result["checks"])
