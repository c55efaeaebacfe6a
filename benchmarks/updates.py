"""How many documents can change their price and stock in a second?

Question   partial updates in batches over HTTP: how many a second are stored, and how many are stored and searchable.
Data       a collection. Each round changes the price and the stock of every document.
Baseline   the import of the same documents, each of which is encoded.
Command    searchsvc bench updates ../shared/data/electronics
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.errors import BenchmarkFailed
from benchmarks.importing import await_searchable, import_collection, send_documents
from benchmarks.running import RunningService

INDEX: Final = "bench"
BATCH: Final = 1000
MIN_STORED_PER_S: Final = 2000.0


def measure(folder: Path, *, n_rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Change all documents in each round; return the result as it is written to JSON.

    n_rounds: how often each document is changed
    """
    rng = np.random.default_rng(report.SEED)
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        service = RunningService(Path(scratch) / "service")
        try:
            say("importing")
            imported = import_collection(service, INDEX, folder)
            service.await_idle()
            ids = [document["id"] for document in imported.documents]
            stored, searchable = list[float](), list[float]()
            with closing(service.connection()) as connection:
                for number in range(n_rounds):
                    say(f"round {number + 1} of {n_rounds}")
                    started = time.perf_counter()
                    seq = 0
                    for batch in _batches(ids):
                        seq = _patch(connection, batch, rng)
                    stored.append(len(ids) / (time.perf_counter() - started))
                    await_searchable(connection, INDEX, seq)
                    searchable.append(len(ids) / (time.perf_counter() - started))
        finally:
            service.stop()
    return {
        "benchmark": "updates",
        "question": "partial updates of price and stock a second, in batches: stored, and searchable",
        "collection": folder.name,
        **report.environment(),
        "n_documents": len(ids),
        "batch": BATCH,
        "imported_per_s": round(len(ids) / imported.seconds, 1),
        "stored_per_s": [round(rate, 1) for rate in stored],
        "searchable_per_s": [round(rate, 1) for rate in searchable],
        "checks": [_check("changes stored a second, median of the rounds", float(np.median(stored)))],
    }


def _check(name: str, rate: float) -> report.Check:
    return report.Check(name, f">= {MIN_STORED_PER_S:g}", f"{rate:.0f}", rate >= MIN_STORED_PER_S)


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


def _patch(connection: HTTPConnection, ids: Sequence[str], rng: np.random.Generator) -> int:
    """Change the documents with these ids; return the CATALOG sequence of the last change."""
    prices, stocks = rng.integers(1, 100_000, len(ids)).tolist(), rng.integers(0, 500, len(ids)).tolist()
    changes = (
        {"id": name, "price": price / 100, "stock": stock}
        for name, price, stock in zip(ids, prices, stocks, strict=True)
    )
    body = b"\n".join(map(msgspec.json.encode, changes))
    answer = send_documents(connection, "PATCH", INDEX, body)
    if answer["refused"]:
        raise BenchmarkFailed(f"{len(answer['refused'])} changes were refused, the first: {answer['refused'][0]}")
    return int(answer["catalog_seq"])


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['n_documents']} documents, imported at {result['imported_per_s']:g} a second")
    print("  stored a second:     " + "  ".join(f"{rate:6.0f}" for rate in result["stored_per_s"]))
    print("  searchable a second: " + "  ".join(f"{rate:6.0f}" for rate in result["searchable_per_s"]))
    report.print_checks(result["checks"])
