"""What an index that was built anew finds beside the one before: the queries that shoppers make most, and titles."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.document_text import field_text
from searchsvc.behavior.query_counts import QueryCounts
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.rebuild import Canary, Comparison
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import ServingState

N_QUERIES: Final = 20
N_TITLES: Final = 10
TITLE_WORDS: Final = 4
FIRST: Final = 10
SHOWN: Final = 5


class Canaries:
    """Compares two snapshots of an index by the first hits of real queries, all weights and rules in force."""

    def __init__(self, searcher: Searcher, serving: Serving, queries: QueryCounts) -> None:
        self._searcher = searcher
        self._serving = serving
        self._queries = queries

    def compare(self, index: str, before: EngineSnapshot, after: EngineSnapshot) -> Comparison:
        """Raises Unavailable where a snapshot cannot be searched."""
        canaries = []
        for query in dict.fromkeys([*self._frequent(index), *self._titles(index, before)]):
            first, second = (self._first(index, query, snapshot) for snapshot in (before, after))
            canaries.append(Canary(query, first, second))
        differing = sorted((one for one in canaries if one.shared < 1.0), key=lambda one: (one.shared, one.query))
        return Comparison(
            documents_before=before.n_documents,
            documents_after=after.n_documents,
            n_canaries=len(canaries),
            overlap=round(float(np.mean([one.shared for one in canaries])), 4) if canaries else 1.0,
            differing=differing[:SHOWN],
        )

    def _frequent(self, index: str) -> list[str]:
        counts = [one for one in self._queries if one.index == index]
        counts.sort(key=lambda one: (-one.count, one.key))
        return [one.text for one in counts[:N_QUERIES]]

    def _titles(self, index: str, snapshot: EngineSnapshot) -> list[str]:
        """The beginnings of the titles of what browsing shows first."""
        names = [field.name for field in snapshot.settings.searchable]
        field = snapshot.settings.searchable[names.index(snapshot.settings.title)]
        shown = self._searched(index, SearchRequest(limit=N_TITLES), snapshot)
        titles = [field_text(msgspec.json.decode(hit.document), field).split() for hit in shown.hits]
        return [" ".join(words[:TITLE_WORDS]) for words in titles if words]

    def _first(self, index: str, query: str, snapshot: EngineSnapshot) -> list[str]:
        return [hit.id for hit in self._searched(index, SearchRequest(query=query, limit=FIRST), snapshot).hits]

    def _searched(self, index: str, request: SearchRequest, snapshot: EngineSnapshot) -> SearchAnswer:
        state = ServingState(self._serving.current.control, {index: snapshot})
        # Others are being answered meanwhile.
        return self._searcher.search(
            state, index, request, query_id="canary", now=datetime.now(UTC), alone=False
        ).answer
