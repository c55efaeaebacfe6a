"""What one search reads from the node. It keeps what the node reported of each hit, for later questions about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from events.errors import Unavailable
from searchsvc.analysis.query import Operator, Query
from searchsvc.analysis.title_heads import SearchedThing, goes_with
from searchsvc.engines import signals
from searchsvc.engines.columnar.statistics import INFLECTED_COVERAGE, QueryStatistics
from searchsvc.engines.filters import Filter
from searchsvc.engines.opensearch import mapping, replies
from searchsvc.engines.opensearch.attribute_columns import column, values_of
from searchsvc.engines.opensearch.clauses import EVERYTHING, Clause, ids_clause
from searchsvc.engines.opensearch.columns import Columns, from_base64
from searchsvc.engines.opensearch.hits import Hits, ReportedHit
from searchsvc.engines.opensearch.keyword_query import query_clauses
from searchsvc.engines.opensearch.named_scores import (
    MatchedTerms,
    filter_name,
    matched_terms,
    score_names,
    with_test_filters,
)
from searchsvc.engines.opensearch.requests import Body, bodies, lookup_body, plan, sample_body
from searchsvc.engines.opensearch.retrieval_replies import RetrievalReplies
from searchsvc.engines.opensearch.state import IndexState
from searchsvc.engines.opensearch.vector_leg import VectorLeg
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.engines.retrieval import Retrieval, Retrieved, TextFeatures
from tuning.arrays import BoolArray, FloatArray, IntArray


class OpenSearchReading:
    """A `Reading`, for one thread. state: what `snapshot` is made of."""

    def __init__(self, snapshot: EngineSnapshot, state: IndexState) -> None:
        self.snapshot = snapshot
        self._state = state
        self._columns = Columns(len(state.settings.signals), state.dimension)
        self._hits = Hits()
        self._query: Query | None = None
        self._last_statistics: tuple[Query | None, QueryStatistics] = None, QueryStatistics.none()
        self._grouped_by: str | None = None
        self._test_filters: tuple[Filter, ...] = ()
        self._is_partial = False

    def retrieve(self, request: Retrieval) -> Retrieved:
        state = self._state
        excluded_id = self._hits[request.excluded_slot].id if request.excluded_slot is not None else None
        vector = request.query_vector() if state.dimension else None
        statistics = self._statistics(request.query)
        planned = plan(state, request, statistics, vector, excluded_id)
        requests = bodies(planned)
        if self._query is not None and self._query is not request.query:
            self._hits.clear_named()
        by_name = dict(zip(requests, self._search(list(requests.values())), strict=True))
        self._query, self._grouped_by, self._test_filters = request.query, request.distinct, planned.tested
        read = RetrievalReplies(
            planned,
            by_name,
            self._hits,
            VectorLeg(planned, self._search, self._hits, self._columns),
            self._search,
            lambda slots, operator: self._unmatched(slots, operator, request.query),
        )
        unknown = tuple(i for i in request.query.required_positions if not statistics.in_index[i])
        retrieved = read.retrieved(unknown)
        # Hits of some shards are better than none; the answer says so.
        return msgspec.structs.replace(retrieved, degraded=("shards",)) if self._is_partial else retrieved

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        statistics = self._statistics(query)
        if not len(slots) or statistics.ceiling <= 0.0:
            return TextFeatures.zeros(len(slots), len(self._state.settings.searchable))
        matched, required = self._matched(slots, query), self._required(query)
        total = float(statistics.term_idf.sum())
        covered = np.where(matched.words, 1.0, np.where(matched.terms, INFLECTED_COVERAGE, 0.0))
        has_all = np.all(matched.terms[:, required], axis=1, keepdims=True)[:, 0] & bool(required)
        return TextFeatures(
            bm25=(matched.bm25 / total).astype(np.float32),
            exact_title=matched.title.astype(np.float32),
            all_terms=has_all.astype(np.float32),
            coverage=(covered @ statistics.term_idf / total).astype(np.float32),
            phrase=matched.phrases.astype(np.float32),
            proximity=matched.nearness.astype(np.float32),
        )

    def groups(self, field: str, slots: IntArray) -> IntArray:
        if self._grouped_by != field:
            self._look_up(ids_clause(self._hits.ids(slots)), None, len(slots), group=field)
        numbers: dict[object, int] = {}
        groups = []
        for slot, hit in zip(slots.tolist(), self._hits.select(slots), strict=True):
            value = _group_value(hit, field)
            groups.append(numbers.setdefault(value if value is not None else ("alone", slot), len(numbers)))
        return np.array(groups, np.int64)

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        if condition not in self._test_filters:
            self._test_filters = (*self._test_filters, condition)
            tests = with_test_filters(
                {"bool": {"should": [EVERYTHING]}}, self._test_filters, self._state.attribute_kinds
            )
            self._look_up(ids_clause(self._hits.ids(slots)), tests, len(slots))
        name = filter_name(condition)
        return np.array([name in hit.named for hit in self._hits.select(slots)], np.bool_)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        if not self._state.dimension:
            return np.zeros(len(slots), np.float32)
        cosines: FloatArray = self.vectors(slots) @ vector
        return cosines

    def vectors(self, slots: IntArray) -> FloatArray:
        if not self._state.dimension:
            return np.zeros((len(slots), 0), np.float32)
        return self._columns.vectors([hit.columns for hit in self._hits.select(slots)])

    def goes_with(self, slots: IntArray, thing: SearchedThing) -> BoolArray:
        return np.array([goes_with(title, thing) for title in self.titles(slots)], np.bool_)

    def titles(self, slots: IntArray) -> list[list[str]]:
        return self._columns.titles([hit.columns for hit in self._hits.select(slots)])

    def sample(self, n: int) -> IntArray:
        return self._hits.add(self._search([sample_body(n)])[0].hits.hits)

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        rows = self._columns.signals([hit.columns for hit in self._hits.select(slots)])
        return signals.values(self._state.settings.signals, rows, timestamp_s)

    def id(self, slot: int) -> str:
        return self._hits[slot].id

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        texts = {slot: from_base64(self._hits[slot].short) for slot in slots}
        long_slots = [slot for slot, text in texts.items() if not text]
        if long_slots:
            index = self._state.index
            names = [mapping.node_id(self._hits[slot].id) for slot in long_slots]
            stored = index.documents(names, ["document"], timeout_s=index.node.timeout_s)
            texts |= {slot: got.source.document.encode() for slot, got in zip(long_slots, stored, strict=True)}
        return [msgspec.Raw(texts[slot]) if texts[slot] else None for slot in slots]

    def find(self, document_id: str) -> int | None:
        slots = self._look_up({"term": {"id": document_id}}, None, 1)
        return int(slots[0]) if len(slots) else None

    def _search(self, bodies: Sequence[Body]) -> list[replies.Searched]:
        results = self._state.index.search(bodies)
        self._is_partial = self._is_partial or not all(reply.is_whole for reply in results)
        return results

    def _look_up(self, clause: Clause, named: Clause | None, n: int, group: str | None = None) -> IntArray:
        """Request n documents, or more about them than the search did. See `lookup_body`.

        Raises Unavailable if documents are missing from the reply and some shards did not answer.
        """
        was_partial, self._is_partial = self._is_partial, False
        hits = self._search([lookup_body(clause, named, group, n)])[0].hits.hits
        if self._is_partial and len(hits) < n:
            raise Unavailable(f"not all shards of {self._state.index.name} answered")
        self._is_partial = was_partial
        return self._hits.add(hits)

    def _statistics(self, query: Query) -> QueryStatistics:
        """Return the statistics of a query, the last ones if it is the same: a search needs them twice."""
        last_query, statistics = self._last_statistics
        if last_query is not query:
            statistics = self._state.vocabulary.statistics(query)
            self._last_statistics = query, statistics
        return statistics

    def _required(self, query: Query) -> list[int]:
        """Return the positions of the required terms that the index contains."""
        in_index = self._statistics(query).in_index
        return [position for position in query.required_positions if in_index[position]]

    def _unmatched(self, slots: IntArray, operator: Operator, query: Query) -> IntArray:
        """Return those of some slots that the keyword leg does not match."""
        if not query.text:
            return slots[:0]
        required = self._required(query)
        if not required or not len(slots):
            return slots
        contained = self._matched(slots, query).terms[:, required]
        return slots[~(contained.all(axis=1) if operator == "all" else contained.any(axis=1))]

    def _matched(self, slots: IntArray, query: Query) -> MatchedTerms:
        """Return how hits match a query. The node is asked again if they were found by another query."""
        n_fields = len(self._state.settings.searchable)
        if self._query is not query:
            boosts = [1.0] * n_fields
            clauses = query_clauses(query, self._statistics(query), boosts, self._state.vocabulary.rarity)
            self._hits.clear_named()
            self._test_filters = ()
            self._look_up(ids_clause(self._hits.ids(slots)), clauses.named, len(slots))
            self._query = query
        names = score_names(query, n_fields)
        table = np.array([[hit.named.get(name, 0.0) for name in names] for hit in self._hits.select(slots)])
        return matched_terms(table, query, n_fields)


def _group_value(hit: ReportedHit, field: str) -> object:
    values = values_of(field, map(str, hit.fields.get(column("g", field), ())))
    return values[0] if values else None
