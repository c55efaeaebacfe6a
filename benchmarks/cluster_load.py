"""Searches and document changes at fixed rates, as shoppers and an importer make them at the same time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle
from typing import Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.queries import MAX_QUERY_LENGTH
from benchmarks.running import RunningService, call

LIMIT: Final = 10
N_SEARCHERS: Final = 2
NEW_PREFIX: Final = "new-"


class Answers(msgspec.Struct):
    """How searches were answered.

    ms: from when each was due until it was answered
    kinds: number of answers by status and what was degraded
    """

    ms: list[float] = []
    kinds: Counter[str] = msgspec.field(default_factory=Counter)


class Load:
    """Searches and changes in the background, until the context ends.

    ids: documents that are changed
    searches, changes: a second

    expected: document id -> stamp of its last acknowledged change, None for a deletion. A document whose last change
        was not acknowledged is not among them: it may be stored or not.
    catalog_seq: highest acknowledged sequence
    """

    def __init__(
        self,
        service: RunningService,
        index: str,
        queries: Sequence[str],
        ids: Sequence[str],
        *,
        searches: float,
        changes: float,
    ) -> None:
        self._service = service
        self._path = f"/v1/indexes/{index}"
        self._queries = queries
        self._ids = ids
        self._rng = np.random.default_rng(report.SEED)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answers = Answers()
        self._n_changes = 0
        self.expected: dict[str, int | None] = {}
        self.n_refused = 0
        self.catalog_seq = 0
        self._threads = [
            threading.Thread(target=self._repeat, args=(searches / N_SEARCHERS, self._searcher(number)))
            for number in range(N_SEARCHERS)
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

    def take_answers(self) -> Answers:
        """Return the answers since the last call."""
        with self._lock:
            answers, self._answers = self._answers, Answers()
        return answers

    def _repeat(self, rate: float, action: Callable[[HTTPConnection, float], None]) -> None:
        due = time.perf_counter()
        with closing(self._service.connection()) as connection:
            while not self._stop.is_set():
                due += 1.0 / rate
                self._stop.wait(max(0.0, due - time.perf_counter()))
                action(connection, due)

    def _searcher(self, number: int) -> Callable[[HTTPConnection, float], None]:
        queries = cycle(self._queries[number::N_SEARCHERS])

        def search(connection: HTTPConnection, due: float) -> None:
            request = {"query": next(queries)[:MAX_QUERY_LENGTH], "limit": LIMIT}
            status, answer = call(connection, "POST", f"{self._path}/search", request)
            ms = (time.perf_counter() - due) * 1e3
            with self._lock:
                self._answers.ms.append(ms)
                self._answers.kinds[" ".join([str(status), *answer.get("degraded", [])])] += 1

        return search

    def _change(self, connection: HTTPConnection, due: float) -> None:
        """Make the next change: of ten, seven change a document, two add one, and one deletes an added one."""
        self._n_changes += 1
        stamp, kind = self._n_changes, self._n_changes % 10
        added = [name for name, stored in self.expected.items() if stored is not None and name.startswith(NEW_PREFIX)]
        expected: int | None
        if kind == 0 and added:
            name, expected = added[0], None
            status, answer = call(connection, "DELETE", f"{self._path}/documents/{name}")
        else:
            name = f"{NEW_PREFIX}{stamp}" if kind < 3 else self._ids[int(self._rng.integers(len(self._ids)))]
            expected = stamp
            document = {"id": name, "title": f"changed {stamp}", "stamp": stamp}
            status, answer = call(connection, "POST", f"{self._path}/documents", document)
        if status == 200:
            self.expected[name] = expected
            self.catalog_seq = max(self.catalog_seq, answer["catalog_seq"])
        else:
            self.expected.pop(name, None)
            self.n_refused += 1
