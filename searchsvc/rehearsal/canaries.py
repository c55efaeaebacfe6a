"""Canaries: queries that are made on the current and on a rebuilt index, before the rebuilt one is used."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.document_text import field_text
from searchsvc.behavior.query_counts import QueryCounts
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.rebuild import Canary, RebuildComparison
from searchsvc.runtime.clock import Clock, utc_now
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

N_QUERIES: Final = 20
N_TITLES: Final = 10
TITLE_WORDS: Final = 4
N_COMPARED_HITS: Final = 10
N_LISTED: Final = 5

log = logging.getLogger(__name__)


class Canaries:
    """Compares two snapshots of an index by the first hits of real queries, by the weights and rules in force.

    queries: the most frequent queries of shoppers
    clock: the current time
    """

    def __init__(self, searcher: Searcher, serving: Serving, queries: QueryCounts, clock: Clock = utc_now) -> None:
        self._searcher = searcher
        self._serving = serving
        self._queries = queries
        self._clock = clock

    def compare(self, index: str, before: EngineSnapshot, after: EngineSnapshot) -> RebuildComparison:
        """Search both snapshots for each canary. Raises Unavailable if a snapshot cannot be searched."""
        canaries = []
        for query in dict.fromkeys([*self._frequent_queries(index), *self._title_queries(index, before)]):
            first_hits = [self._first_hits(index, query, snapshot) for snapshot in (before, after)]
            canaries.append(Canary(query, *first_hits))
        differing = sorted(
            (canary for canary in canaries if canary.shared < 1.0), key=lambda canary: (canary.shared, canary.query)
        )
        return RebuildComparison(
            documents_before=before.n_documents,
            documents_after=after.n_documents,
            n_canaries=len(canaries),
            overlap=round(float(np.mean([canary.shared for canary in canaries])), 4) if canaries else 1.0,
            differing=differing[:N_LISTED],
        )

    def _frequent_queries(self, index: str) -> list[str]:
        counts = [count for count in self._queries if count.index == index and count.text]
        counts.sort(key=lambda count: (-count.count, count.key))
        return [count.text for count in counts[:N_QUERIES]]

    def _title_queries(self, index: str, snapshot: EngineSnapshot) -> list[str]:
        """Return the first words of the titles of the first documents when browsing."""
        names = [field.name for field in snapshot.settings.searchable]
        title_field = snapshot.settings.searchable[names.index(snapshot.settings.title)]
        hits = self._search(index, SearchRequest(limit=N_TITLES), snapshot).hits
        titles = [field_text(msgspec.json.decode(hit.document), title_field).split() for hit in hits]
        return [" ".join(words[:TITLE_WORDS]) for words in titles if words]

    def _first_hits(self, index: str, query: str, snapshot: EngineSnapshot) -> list[str]:
        request = SearchRequest(query=query, limit=N_COMPARED_HITS)
        return [hit.id for hit in self._search(index, request, snapshot).hits]

    def _search(self, index: str, request: SearchRequest, snapshot: EngineSnapshot) -> SearchAnswer:
        served = self._serving.current
        state = ServingState(served.control, {index: snapshot}, measurements=served.measurements)
        # Shoppers are searching meanwhile: leave them cores.
        outcome = self._searcher.search(state, index, request, query_id="canary", now=self._clock(), all_cores=False)
        if outcome.encoding_failure:
            log.warning("a canary was answered without vectors: %s", outcome.encoding_failure)
        return outcome.answer
