"""Is this checkout of the service as fast as another, and does it give the same answers?

Question   p50, p90 and p99 of hybrid searches, uncached and cached, of this checkout over those of the other; and
           whether both give the same ids, scores, totals and facet counts.
Data       a folder with docs.jsonl[.gz]; queries are seeded titles of its documents and their first two words.
Baseline   the other checkout: same interpreter, packages, catalogue and queries, a data folder of its own. Both
           services are up at the same time and get the same queries in alternation: blocks of queries, the order of
           the two swapped from block to block, both warmed up. Every run starts both services again.
Command    searchsvc bench latency ../shared/data/electronics --against-checkout PATH
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import paired, report
from benchmarks.answers import Difference, differences
from benchmarks.checkout import Checkout
from benchmarks.collection import documents_file
from benchmarks.importing import Imported, import_collection
from benchmarks.inprocess import facet_fields
from benchmarks.paired import Comparison
from benchmarks.queries import WARM_UP, sample_queries, warm_up_size
from benchmarks.running import RunningService
from benchmarks.searching import search
from events.errors import require
from tuning.arrays import ScoreArray

INDEX: Final = "bench"
SIDES: Final = ("this", "other")
STATES: Final = ("uncached", "cached")
BLOCK: Final = 20
N_DIFFERENCES: Final = 10
# A query's vector may be late while the machine is busy.
ATTEMPTS: Final = 5
LIMITS: Final = {"p50": 1.03, "p99": 1.10}

# (kind, side) -> milliseconds, block by block.
Times = dict[tuple[str, str], list[list[float]]]


class Run(msgspec.Struct, frozen=True):
    """One run on freshly started services.

    comparisons: by kind, such as `uncached, over HTTP`
    degraded: answers without a part, by side
    resampled: by kind, see `paired.compare`
    """

    comparisons: dict[str, Comparison]
    degraded: dict[str, int]
    resampled: dict[str, ScoreArray]


class Answers(msgspec.Struct, frozen=True):
    """How many queries both sides answered alike, and the first differences.

    n_degraded: queries that were not compared, because a side was without its vectors in every attempt
    """

    n_queries: int
    n_same: int
    n_degraded: int
    facets: list[str]
    first_differences: list[Difference]


def measure(folder: Path, other: Path, *, n_queries: int, n_runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare this checkout with another; return the result as it is written to JSON.

    other: root folder of the other checkout
    n_queries: distinct queries of a run, besides those that warm up
    n_runs: how often both services are started and measured

    Raises InvalidInput if `other` is not a checkout or no document of the folder is accepted.
    """
    require(n_queries >= 1, "queries", n_queries, "1 or more")
    require(n_runs >= 1, "runs", n_runs, "1 or more")
    documents_file(folder)  # before services are started
    checkouts = dict(zip(SIDES, (Checkout.of_this_process(), Checkout.in_folder(other)), strict=True))
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        imported = _fill(checkouts, Path(scratch), folder, say)
        sampled = sample_queries(imported.documents, imported.settings["title"], n_queries + WARM_UP)
        n_warm_up = warm_up_size(len(sampled))
        warm_up, queries = sampled[:n_warm_up], sampled[n_warm_up:]
        facets = facet_fields(imported.documents)
        runs: list[Run] = []
        for number in range(n_runs):
            say(f"run {number + 1} of {n_runs}")
            with _Pair(checkouts, Path(scratch), first=number % 2) as pair:
                runs.append(_run(pair, warm_up, queries, number))
                if number == n_runs - 1:
                    say("comparing answers")
                    answers = _compare_answers(pair, queries, facets)
    medians = {
        kind: paired.median_of_runs([run.comparisons[kind] for run in runs], [run.resampled[kind] for run in runs])
        for kind in runs[0].comparisons
    }
    return {
        "benchmark": "latency-against",
        "question": "searches of this checkout over those of another; whether both answer alike",
        "collection": folder.name,
        **report.environment(),
        "other_commit": checkouts["other"].commit,
        "n_documents": len(imported.documents),
        "n_refused": len(imported.refused),
        "n": len(queries),
        "queries_per_block": BLOCK,
        "runs": [{"comparisons": run.comparisons, "degraded": run.degraded} for run in runs],
        "median_of_runs": medians,
        "answers": answers,
        "checks": _checks(medians, answers),
    }


class _Pair:
    """A running service of each side, on data that was imported before.

    first: which side starts first, and is asked first in the first block
    """

    def __init__(self, checkouts: Mapping[str, Checkout], scratch: Path, *, first: int) -> None:
        self.order = SIDES if first == 0 else SIDES[::-1]
        self._checkouts = checkouts
        self._scratch = scratch
        self._cleanup = ExitStack()
        self.connections: dict[str, HTTPConnection] = {}

    def __enter__(self) -> _Pair:
        with ExitStack() as cleanup:
            services = []
            for side in self.order:
                services.append(RunningService(self._scratch / side, checkout=self._checkouts[side]))
                cleanup.callback(services[-1].stop)
                self.connections[side] = cleanup.enter_context(closing(services[-1].connection()))
            for service in services:
                service.await_idle()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()


def _fill(checkouts: Mapping[str, Checkout], scratch: Path, folder: Path, say: Callable[[str], None]) -> Imported:
    """Import the collection into the data folder of each side; return what this side imported.

    Imports one after another, so that neither takes the processor from the other.
    """
    results: dict[str, Imported] = {}
    for side, checkout in checkouts.items():
        say(f"importing into {side} checkout")
        service = RunningService(scratch / side, checkout=checkout)
        try:
            results[side] = import_collection(service, INDEX, folder)
            service.await_idle()
        finally:
            service.stop()
    return results["this"]


def _run(pair: _Pair, warm_up: Sequence[str], queries: Sequence[str], number: int) -> Run:
    """Ask both sides all queries, in an order that is seeded by the number of the run."""
    rng = np.random.default_rng([report.SEED, number])
    for side, query in itertools.product(pair.order, [*warm_up, *warm_up]):
        search(pair.connections[side], INDEX, {"query": query})
    mixed = [queries[i] for i in rng.permutation(len(queries))]
    times: Times = {}
    degraded = dict.fromkeys(SIDES, 0)
    for n, start in enumerate(range(0, len(mixed), BLOCK)):
        block = mixed[start : start + BLOCK]
        # Every query is uncached the first time, and cached from then on.
        for state, side in itertools.product(STATES, pair.order if n % 2 == 0 else pair.order[::-1]):
            searches = [search(pair.connections[side], INDEX, {"query": query}) for query in block]
            times.setdefault((f"{state}, over HTTP", side), []).append([searched.http_ms for searched in searches])
            times.setdefault((f"{state}, took_ms", side), []).append([searched.took_ms for searched in searches])
            degraded[side] += sum(bool(searched.answer["degraded"]) for searched in searches)
    kinds = dict.fromkeys(kind for kind, _ in times)
    compared = {kind: paired.compare(times[kind, "this"], times[kind, "other"], rng) for kind in kinds}
    return Run(
        {kind: comparison for kind, (comparison, _) in compared.items()},
        degraded,
        {kind: resampled for kind, (_, resampled) in compared.items()},
    )


def _compare_answers(pair: _Pair, queries: Sequence[str], facets: list[str]) -> Answers:
    first_differences: list[Difference] = []
    n_same = n_degraded = 0
    for query in queries:
        request = {"query": query, "facets": facets}
        this, other = (_answer(pair.connections[side], request) for side in SIDES)
        if this["degraded"] or other["degraded"]:
            n_degraded += 1
            continue
        different = differences(query, this, other)
        n_same += not different
        first_differences += different[: N_DIFFERENCES - len(first_differences)]
    return Answers(len(queries), n_same, n_degraded, facets, first_differences)


def _answer(connection: HTTPConnection, request: Mapping[str, Any]) -> dict[str, Any]:
    """Search until the answer is complete, or `ATTEMPTS` times."""
    answer = search(connection, INDEX, request).answer
    for _ in range(ATTEMPTS - 1):
        if not answer["degraded"]:
            break
        answer = search(connection, INDEX, request).answer
    return answer


def _checks(medians: Mapping[str, Comparison], answers: Answers) -> list[report.Check]:
    checks = []
    for state, (name, limit) in itertools.product(STATES, LIMITS.items()):
        ratio = medians[f"{state}, over HTTP"].ratio[name]
        interval = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
        question = f"{state} {name} over HTTP, this / other, median of the runs"
        checks.append(report.Check(question, f"<= {limit:g}", interval, ratio.value <= limit))
    n_compared = answers.n_queries - answers.n_degraded
    n_alike = f"{answers.n_same} of {n_compared}"
    return [*checks, report.Check("queries answered alike", "all", n_alike, answers.n_same == n_compared > 0)]


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}, {result['n_documents']} documents, {result['n']} queries, ", end="")
    print(f"{len(result['runs'])} runs; this checkout {result['commit']}, other {result['other_commit']}")
    print("milliseconds of this / other = ratio [95 %]; below 1 this checkout is faster")
    for number, run in enumerate(result["runs"], start=1):
        degraded = ", ".join(f"{side} {n}" for side, n in run["degraded"].items())
        print(f"run {number} (degraded answers: {degraded})")
        _print_comparisons(run["comparisons"])
    print("median of the runs")
    _print_comparisons(result["median_of_runs"])
    answers = result["answers"]
    print(f"same ids, scores, total and facets: {answers.n_same} of {answers.n_queries} queries", end="")
    print(f"; {answers.n_degraded} not compared, because they were degraded" if answers.n_degraded else "")
    for difference in answers.first_differences:
        print(f"  {difference.query[:60]!r}: {difference.member}")
        print(f"    this  {str(difference.this)[:200]}")
        print(f"    other {str(difference.other)[:200]}")
    report.print_checks(result["checks"])


def _print_comparisons(comparisons: Mapping[str, Comparison]) -> None:
    for kind, comparison in comparisons.items():
        parts = []
        for name, ratio in comparison.ratio.items():
            both = f"{comparison.this_ms[name]:6.2f} / {comparison.other_ms[name]:6.2f}"
            parts.append(f"{name} {both} = {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
        print(f"  {kind:20} " + "   ".join(parts))
