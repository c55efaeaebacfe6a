"""A search in a cluster: the node finds and scores, the service knows the words and ranks.

Both legs are asked for at once, with what of the query each hit holds. What came back is kept with the `reading` of one
search, so that what is asked about its hits afterwards costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.errors import Unavailable
from events.settings import IndexSettings
from searchsvc.analysis.query import Operator, Query, RequestedOperator
from searchsvc.engines import signals
from searchsvc.engines.attributes import no_range_values, unknown_attribute
from searchsvc.engines.columnar.lexicon import LexiconView
from searchsvc.engines.columnar.statistics import QueryStatistics
from searchsvc.engines.filters import Filter, Range, clauses, without_field
from searchsvc.engines.opensearch import dsl, mapping, replies
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.vectors import ServiceVectorsView
from searchsvc.engines.opensearch.vocabulary import VocabularyView
from searchsvc.engines.retrieval import (
    FULL_PAGE,
    Facet,
    FacetRequest,
    FacetStats,
    FacetValue,
    Retrieval,
    Retrieved,
    TextFeatures,
)
from searchsvc.engines.vector_trust import N_COMPARED, vector_trust
from tuning.arrays import BoolArray, FloatArray, IntArray, ScoreArray

# The node shows no hits beyond.
MAX_WINDOW: Final = 10_000
# The node takes no more values of a field to look for.
MAX_TERMS: Final = 65_536
# So many times k of the nearest are tried at once where a filter may leave most of them out.
FILTERED_FACTOR: Final = 4
TRIED_FACTOR: Final = 8
# More hits would bring more of the index than a page can show.
MAX_WITH_DOCUMENTS: Final = 1000
# What is left of a score beside `dsl.LIFT`.
SCORE_DIGITS: Final = 3


class Commit(msgspec.Struct, frozen=True):
    """What the service knows of an index after one write. kinds: of the values of each member. total: (dimension,) the
    sum of all vectors. vectors: None where the node looks for them, or there are none. refused: see
    `EngineSnapshot`."""

    index: ConcreteIndex
    settings: IndexSettings
    dimension: int
    catalog_seq: int
    digest: DocumentsDigest
    vocabulary: VocabularyView
    kinds: Mapping[str, frozenset[str]]
    total: ScoreArray
    vectors: ServiceVectorsView | None
    refused: Mapping[str, str]


class _Row(msgspec.Struct, frozen=True):
    """What a search learnt of one document. columns: see `mapping.Columns`. short: the document itself, '' where it is
    long or was not asked for. named: scores of the named clauses. fields: values of members that were asked for."""

    id: str
    columns: str
    short: str
    named: Mapping[str, float]
    fields: Mapping[str, list[str | float | bool]]


class OpenSearchSnapshot:
    """An `EngineSnapshot`. Of a `reading`, slots count what was found in the order in which it came."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._columns = mapping.Columns(len(commit.settings.signals), commit.dimension)
        self._rows: list[_Row] = []
        self._slots: dict[str, int] = {}
        self._query: Query | None = None
        self._last_statistics: tuple[Query | None, QueryStatistics] = None, QueryStatistics.none()
        self._grouped_by: str | None = None
        self._marked: tuple[Filter, ...] = ()
        self._is_partial = False

    @property
    def snapshot(self) -> OpenSearchSnapshot:
        return self

    def reading(self) -> OpenSearchSnapshot:
        return OpenSearchSnapshot(self._commit)

    @property
    def settings(self) -> IndexSettings:
        return self._commit.settings

    @property
    def generation(self) -> str:
        return self._commit.index.name

    @property
    def catalog_seq(self) -> int:
        return self._commit.catalog_seq

    @property
    def digest(self) -> DocumentsDigest:
        return self._commit.digest

    @property
    def refusals(self) -> Mapping[str, str]:
        return self._commit.refused

    @property
    def n_documents(self) -> int:
        return self._commit.digest.count

    @property
    def is_fast(self) -> bool:
        """Never: each search waits for the node."""
        return False

    @property
    def encodes_concurrently(self) -> bool:
        return False

    @property
    def lexicon(self) -> LexiconView:
        return self._commit.vocabulary.lexicon

    def retrieve(self, asked: Retrieval) -> Retrieved:
        self._require_known(asked)
        query = asked.query
        statistics = self._statistics(query)
        boosts = [max(asked.field_boosts.get(field.name, 1.0), 0.0) for field in self.settings.searchable]
        clauses_of = dsl.asked_of(query, statistics, boosts, self._commit.vocabulary.rarity)
        clauses_of = msgspec.structs.replace(clauses_of, named=dsl.with_marks(clauses_of.named, asked.test_filters))
        leave_out = self._rows[asked.excluded_slot].id if asked.excluded_slot is not None else None
        vector = asked.query_vector() if self._commit.dimension else None
        wider = {
            at: without_field(asked.filters, one.field)
            for at, one in enumerate(asked.facets)
            if one.disjunctive and without_field(asked.filters, one.field) != asked.filters
        }
        filters = dsl.filter_clauses((asked.scope, asked.filters), leave_out)
        wanted = MAX_WINDOW if asked.window is None else max(asked.k, asked.window, N_COMPARED)
        bodies = {"words": self._keyword_body(asked, clauses_of, filters, wanted)}
        bodies |= self._beside_bodies("", asked, vector, filters, clauses_of.named)
        if asked.boosted is not None:
            narrower = [*filters, dsl.filter_clause(asked.boosted)]
            bodies["lifted"] = self._ordered_body(asked, clauses_of, narrower, asked.k)
        others = {at: dsl.filter_clauses((asked.scope, given), leave_out) for at, given in wider.items()}
        for at, given in others.items():
            bodies[f"facet.{at}"] = self._facet_body(asked, clauses_of, given, at)
            bodies |= self._beside_bodies(f".{at}", asked, vector, given, clauses_of.named)
        found = dict(zip(bodies, self._searched(list(bodies.values())), strict=True))
        self._query, self._grouped_by, self._marked = query, asked.distinct, asked.test_filters
        operator, n_matching = self._operator(asked.operator, query, clauses_of, found["words"])
        keyword = self._in_keyword_order(found["words"], operator, asked, clauses_of)
        lifted = self._in_keyword_order(found.get("lifted"), operator, asked, clauses_of)
        near_slots = self._near(found.get("near"), asked, vector, filters, clauses_of.named)
        nearest, cosines, trust = self._trusted(query, vector, near_slots, keyword, asked.k)
        pinned = self._pinned(found.get("pinned"))
        beside = self._unmatched(np.union1d(nearest, pinned), operator, query)
        facets = {}
        for at, one in enumerate(asked.facets):
            counted, also = found["words"], beside
            if at in wider:
                counted = found[f"facet.{at}"]
                near = self._near(found.get(f"near.{at}"), asked, vector, others[at], clauses_of.named)
                also = np.union1d(near if trust else nearest, self._pinned(found.get(f"pinned.{at}")))
                also = self._unmatched(also, operator, query)
            facets[one.field] = self._facet(one, counted.aggregations[f"{operator}.{at}"], also)
        if asked.sort:
            keyword = self._in_order_with(asked, clauses_of, operator, beside, filters)
        return Retrieved(
            keyword=keyword,
            nearest=nearest,
            cosines=cosines,
            vector_trust=trust,
            total=n_matching + len(beside),
            operator=operator if query.text else None,
            unmatched_terms=tuple(place for place in query.required_positions if not statistics.known[place]),
            facets=facets,
            # Some of the shards are better than none; the answer says so.
            degraded=("shards",) if self._is_partial else (),
            pinned=pinned,
            boosted=lifted,
        )

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        n_fields = len(self.settings.searchable)
        statistics = self._statistics(query)
        if not len(slots) or statistics.ceiling <= 0.0:
            return TextFeatures.zeros(len(slots), n_fields)
        told, needed = self._told(slots, query), self._needed(query)
        total = float(statistics.most_telling.sum())
        every = np.all(told.held[:, needed], axis=1, keepdims=True)[:, 0] & bool(needed)
        return TextFeatures(
            bm25=(told.bm25 / total).astype(np.float32),
            exact_title=told.title.astype(np.float32),
            all_terms=every.astype(np.float32),
            coverage=(told.held @ statistics.most_telling / total).astype(np.float32),
            phrase=told.phrases.astype(np.float32),
            proximity=told.nearness.astype(np.float32),
        )

    def groups(self, field: str, slots: IntArray) -> IntArray:
        if field not in self._commit.kinds:
            raise unknown_attribute(field, list(self._commit.kinds), "distinct")
        if self._grouped_by != field:
            self._asked_for({"terms": {"id": [self._rows[slot].id for slot in slots.tolist()]}}, None, group=field)
        groups: dict[object, int] = {}
        found = []
        for slot in slots.tolist():
            value = _first_value(self._rows[slot], field)
            found.append(groups.setdefault(value if value is not None else ("alone", slot), len(groups)))
        return np.array(found, np.int64)

    def check_filter(self, condition: Filter, field: str) -> None:
        if not self._commit.kinds and not self.n_documents:
            return
        for clause in clauses(condition):
            if clause.field == "id":
                continue
            kinds = self._commit.kinds.get(clause.field)
            if kinds is None:
                raise unknown_attribute(clause.field, list(self._commit.kinds), field)
            if isinstance(clause, Range) and ("d" if clause.dates else "n") not in kinds:
                raise no_range_values(clause.field, field, dates=clause.dates)

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        if condition not in self._marked:
            # What was found before is asked of again, with this beside it.
            self._marked = (*self._marked, condition)
            marks = dsl.with_marks({"bool": {"should": [dsl.EVERYTHING]}}, self._marked)
            self._asked_for({"terms": {"id": [self._rows[slot].id for slot in slots.tolist()]}}, marks)
        name = dsl.mark_name(self._marked.index(condition))
        return np.array([name in self._rows[slot].named for slot in slots.tolist()], np.bool_)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        if not self._commit.dimension:
            return np.zeros(len(slots), np.float32)
        cosines: FloatArray = self._columns.vectors(self._of(slots)) @ vector
        return cosines

    def vector(self, slot: int) -> FloatArray | None:
        if not self._commit.dimension:
            return None
        found: FloatArray = self._columns.vectors([self._rows[slot].columns])[0]
        return found if found.any() else None

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        return signals.values(self.settings.signals, self._columns.signals(self._of(slots)), timestamp_s)

    def id(self, slot: int) -> str:
        return self._rows[slot].id

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        texts = {slot: mapping.of_base64(self._rows[slot].short) for slot in slots}
        long = [slot for slot, text in texts.items() if not text]
        if long:
            names = [mapping.node_id(self._rows[slot].id) for slot in long]
            got = self._commit.index.documents(names, ["document"], timeout_s=self._commit.index.node.timeout_s)
            texts |= {slot: one.source.document.encode() for slot, one in zip(long, got, strict=True)}
        return [msgspec.Raw(texts[slot]) if texts[slot] else None for slot in slots]

    def find(self, document_id: str) -> int | None:
        slots = self._asked_for({"term": {"id": document_id}}, None)
        return int(slots[0]) if len(slots) else None

    def _of(self, slots: IntArray) -> list[str]:
        return [self._rows[slot].columns for slot in slots.tolist()]

    def _asked_for(self, which: dsl.Clause, named: dsl.Clause | None, group: str | None = None) -> IntArray:
        """Ask for documents by what they are, beyond what a search of this reading found. Raises Unavailable where not
        all shards answer: what is not told of could be anything."""
        must = [dsl.LIVE, which] if named is None else [dsl.LIVE, which, named]
        n = len(which.get("terms", {}).get("id", [None]))
        body = {**self._shown((), group, n), "query": {"bool": {"filter": must}}, "size": n}
        was_partial, self._is_partial = self._is_partial, False
        hits = self._searched([body])[0].hits.hits
        if self._is_partial and len(hits) < n:
            raise Unavailable(f"not all shards of {self.generation} answered")
        self._is_partial = was_partial
        return self._kept(hits)

    def _statistics(self, query: Query) -> QueryStatistics:
        """Of the query before where it is the same: a search asks twice."""
        before, statistics = self._last_statistics
        if before is not query:
            statistics = self._commit.vocabulary.statistics(query)
            self._last_statistics = query, statistics
        return statistics

    def _needed(self, query: Query) -> list[int]:
        """Places of the terms that are required and that any document holds."""
        known = self._statistics(query).known
        return [place for place in query.required_positions if known[place]]

    def _told(self, slots: IntArray, query: Query) -> dsl.Told:
        """One look at each clause of each hit; all else is done for all hits at once."""
        n_fields = len(self.settings.searchable)
        names = dsl.clause_names(query, n_fields)
        table = np.array([[scores.get(name, 0.0) for name in names] for scores in self._named(slots, query)])
        return dsl.told(table, query, n_fields)

    def _named(self, slots: IntArray, query: Query) -> list[Mapping[str, float]]:
        """What of a query each slot holds, by named clause; asked for where the slots were found by another query."""
        if self._query is not query:
            statistics = self._statistics(query)
            boosts = [1.0] * len(self.settings.searchable)
            named = dsl.asked_of(query, statistics, boosts, self._commit.vocabulary.rarity).named
            self._rows, self._marked = [msgspec.structs.replace(row, named={}) for row in self._rows], ()
            self._asked_for({"terms": {"id": [self._rows[slot].id for slot in slots.tolist()]}}, named)
            self._query = query
        return [self._rows[slot].named for slot in slots.tolist()]

    def _searched(self, bodies: Sequence[dsl.Clause]) -> list[replies.Searched]:
        found = self._commit.index.search(bodies)
        self._is_partial = self._is_partial or not all(one.is_whole for one in found)
        return found

    def _shown(self, facets: Sequence[FacetRequest], group: str | None, n: int = MAX_WINDOW) -> dict[str, Any]:
        """What each of n hits brings with it."""
        fields = ["id", mapping.COLUMNS]
        fields += [mapping.SHORT] if n <= MAX_WITH_DOCUMENTS else []
        fields += [mapping.member_path(one.field, kind) for one in facets for kind in ("v", "n")]
        fields += [mapping.member_path(group, "g")] if group is not None else []
        return {
            # What is stored costs more to read than what is in columns.
            "stored_fields": "_none_",
            "docvalue_fields": fields,
            "track_total_hits": True,
        }

    def _keyword_body(self, asked: Retrieval, of: dsl.Asked, filters: list[dsl.Clause], wanted: int) -> dict[str, Any]:
        body = self._ordered_body(asked, of, filters, wanted)
        body["aggs"] = {"all": {"filter": of.all or dsl.NOTHING}}
        for at, _ in enumerate(asked.facets):
            body["aggs"] |= self._counted(at, asked, of)
        return body

    def _ordered_body(self, asked: Retrieval, of: dsl.Asked, filters: list[dsl.Clause], n: int) -> dict[str, Any]:
        """The first n of the keyword order."""
        body: dict[str, Any] = {**self._shown((), asked.distinct, n), "size": n}
        if not asked.query.text:
            body["query"] = {"bool": {"filter": [*filters, of.named] if asked.test_filters else filters}}
            scales = [signal.scale if signal.transform == "decay" else 0.0 for signal in self.settings.signals]
            body["sort"] = dsl.browse_sort(asked.signal_weights.tolist(), scales, asked.timestamp_s)
        else:
            body["query"] = dsl.keyword_query(of, _node_operator(asked.operator), filters)
            body["sort"] = ["_score", {"id": "asc"}]
        return body

    def _beside_bodies(
        self,
        suffix: str,
        asked: Retrieval,
        vector: FloatArray | None,
        filters: list[dsl.Clause],
        named: dsl.Clause,
    ) -> dict[str, dict[str, Any]]:
        """What belongs to the match set beside what the words match, under some filters. suffix: of the bodies'
        names."""
        bodies = {}
        if vector is not None:
            bodies[f"near{suffix}"] = self._nearest_body(asked, vector, filters, named)
        if asked.pinned_ids:
            bodies[f"pinned{suffix}"] = self._among_body(asked, asked.pinned_ids, filters, named)
        return bodies

    def _nearest_body(
        self, asked: Retrieval, vector: FloatArray, filters: list[dsl.Clause], named: dsl.Clause
    ) -> dict[str, Any]:
        shown = self._shown(asked.facets, asked.distinct, asked.k)
        if self._commit.vectors is None:
            return {**shown, "size": asked.k, "query": dsl.nearest_query(vector, asked.k, filters, named)}
        # Only the node knows what passes the filters.
        k = asked.k if len(filters) == 1 else FILTERED_FACTOR * asked.k
        return self._among_body(asked, self._commit.vectors.nearest(vector, k), filters, named)

    def _among_body(
        self, asked: Retrieval, ids: Sequence[str], filters: list[dsl.Clause], named: dsl.Clause
    ) -> dict[str, Any]:
        n = min(len(ids), MAX_WINDOW)
        shown = self._shown(asked.facets, asked.distinct, n)
        return {**shown, "size": n, "query": dsl.among_query(ids, filters, named)}

    def _near(
        self,
        found: replies.Searched | None,
        asked: Retrieval,
        vector: FloatArray | None,
        filters: list[dsl.Clause],
        named: dsl.Clause,
    ) -> IntArray:
        """Slots of the k nearest that pass the filters. found: what `_nearest_body` found."""
        if found is None or vector is None:
            return np.empty(0, np.int64)
        if self._commit.vectors is None:
            return self._kept(found.hits.hits)
        slots = self._kept(self._passing(self._commit.vectors, found.hits.hits, asked, vector, filters, named))
        return slots[np.argsort(-self.cosines(slots, vector), kind="stable")[: asked.k]]

    def _passing(
        self,
        vectors: ServiceVectorsView,
        hits: Sequence[replies.Hit],
        asked: Retrieval,
        vector: FloatArray,
        filters: list[dsl.Clause],
        named: dsl.Clause,
    ) -> Sequence[replies.Hit]:
        """Hits among which are the k nearest that pass the filters. hits: of the nearest that were tried first.

        The service knows the vectors and the node the filters, so the nearest may not be among those that pass. Then
        either all that pass are looked at here, or, where they are many, more and more of the nearest are tried there.
        """
        n_tried = FILTERED_FACTOR * asked.k
        if len(filters) == 1 or len(hits) >= asked.k or n_tried >= len(vectors):
            return hits
        # No more of a document than its name is needed here.
        passing = {**self._shown((), None), "query": {"bool": {"filter": filters}}, "size": MAX_WINDOW}
        page = self._searched([{**passing, "docvalue_fields": ["id"]}])[0].hits
        if page.total.value <= MAX_WINDOW:
            ids = vectors.nearest_of([str(hit.fields["id"][0]) for hit in page.hits], vector, asked.k)
            return self._searched([self._among_body(asked, ids, filters, named)])[0].hits.hits
        while len(hits) < asked.k and n_tried < min(len(vectors), MAX_TERMS):
            n_tried = min(TRIED_FACTOR * n_tried, MAX_TERMS)
            ids = vectors.nearest(vector, n_tried)[:MAX_TERMS]
            hits = self._searched([self._among_body(asked, ids, filters, named)])[0].hits.hits
        return hits

    def _pinned(self, found: replies.Searched | None) -> IntArray:
        return np.sort(self._kept(found.hits.hits)) if found is not None else np.empty(0, np.int64)

    def _facet_body(self, asked: Retrieval, of: dsl.Asked, filters: list[dsl.Clause], at: int) -> dict[str, Any]:
        query = dsl.keyword_query(of, "some", filters) if asked.query.text else {"bool": {"filter": filters}}
        return {"size": 0, "query": query, "aggs": self._counted(at, asked, of)}

    def _counted(self, at: int, asked: Retrieval, of: dsl.Asked) -> dict[str, Any]:
        """A facet over what holds all terms, and over what holds any: which of them counts is known afterwards."""
        one = asked.facets[at]
        numbers = "n" in self._commit.kinds.get(one.field, frozenset())
        n_more = asked.k if asked.vector is not None else 0
        within = {"all": of.all or dsl.NOTHING, "any": dsl.EVERYTHING}
        if not asked.query.text:
            within = {"all": dsl.EVERYTHING}
        return {
            f"{operator}.{at}": dsl.facet_aggregation(
                one, n_more, clause, numbers=numbers, n_shards=self._commit.index.n_shards
            )
            for operator, clause in within.items()
        }

    def _operator(
        self, asked: RequestedOperator, query: Query, of: dsl.Asked, found: replies.Searched
    ) -> tuple[Operator, int]:
        """What a document had to hold, and how many match."""
        n_some, n_all = found.hits.total.value, found.aggregations["all"].doc_count
        if not query.text:
            return "all", n_some
        if of.all is None:
            return ("any" if query.required_positions else "all"), 0
        if asked == "all" or (asked == "auto" and n_all >= FULL_PAGE):
            return "all", n_all
        return ("any", n_some) if asked == "any" or n_some > n_all else ("all", n_all)

    def _in_keyword_order(
        self, found: replies.Searched | None, operator: Operator, asked: Retrieval, of: dsl.Asked
    ) -> IntArray:
        if found is None:
            return np.empty(0, np.int64)
        slots = self._kept(found.hits.hits)
        if not asked.query.text:
            return slots
        scores = np.array([hit.score or 0.0 for hit in found.hits.hits])
        if asked.operator == "auto":
            lifted = scores >= dsl.LIFT
            scores[lifted] -= dsl.LIFT
            if operator == "all":
                slots, scores = slots[lifted], scores[lifted]
        keys = [
            (-score, self._rows[slot].id, slot)
            for score, slot in zip(scores.round(SCORE_DIGITS), slots.tolist(), strict=True)
        ]
        return np.array([slot for _, _, slot in sorted(keys)], np.int64)

    def _trusted(
        self, query: Query, vector: FloatArray | None, near: IntArray, keyword: IntArray, k: int
    ) -> tuple[IntArray, FloatArray, float]:
        """The vector leg's findings, nearest first, and how far they can be trusted: none where they cannot."""
        none = np.empty(0, np.int64), np.empty(0, np.float32), 0.0
        if vector is None:
            return none
        cosines = self.cosines(near, vector)
        order = sorted(range(len(near)), key=lambda at: (-cosines[at], self._rows[near[at]].id))[:k]
        nearest, cosines = near[order], cosines[order]
        if not query.terms:
            return nearest, cosines, 1.0
        by_chance = float(self._commit.total @ vector.astype(np.float64)) / max(self.n_documents, 1)
        trust = vector_trust(self.cosines(keyword[:N_COMPARED], vector), cosines, by_chance, self.n_documents)
        return (nearest, cosines, trust) if trust else none

    def _unmatched(self, slots: IntArray, operator: Operator, query: Query) -> IntArray:
        """Those of some slots that the keyword leg does not match, shown or not."""
        if not query.text:
            return slots[:0]
        needed = self._needed(query)
        if not needed or not len(slots):
            return slots
        held = self._told(slots, query).held[:, needed]
        return slots[~(held.all(axis=1) if operator == "all" else held.any(axis=1))]

    def _in_order_with(
        self, asked: Retrieval, of: dsl.Asked, operator: Operator, only_near: IntArray, filters: list[dsl.Clause]
    ) -> IntArray:
        """The match set in the order that was asked for: the nearest have to be known for that, so it takes one more
        request."""
        ids = [self._rows[slot].id for slot in only_near.tolist()]
        matching = dsl.matching(of, operator) if asked.query.text else dsl.EVERYTHING
        n = MAX_WINDOW if asked.window is None else max(asked.k, asked.window, N_COMPARED)
        body = {
            **self._shown((), asked.distinct, n),
            "query": {"bool": {"filter": [*filters, dsl.any_of([matching, {"terms": {"id": ids}}]), of.named]}},
            "sort": dsl.sort_clauses(asked.sort, self._commit.kinds),
            "size": n,
        }
        return self._kept(self._searched([body])[0].hits.hits)

    def _facet(self, asked: FacetRequest, counted: replies.Aggregation, beside: IntArray) -> Facet:
        """What the node counted, and the nearest that it did not match."""
        counts = {bucket.key: bucket.doc_count for bucket in counted.values.buckets}
        n_new = 0
        numbers: list[float] = []
        value_path, number_path = (mapping.member_path(asked.field, kind) for kind in ("v", "n"))
        for slot in beside.tolist():
            fields = self._rows[slot].fields
            for value in fields.get(value_path, ()):
                n_new += value not in counts
                counts[str(value)] = counts.get(str(value), 0) + 1
            numbers += [float(value) for value in fields.get(number_path, ())]
        complete = not counted.values.sum_other_doc_count
        n_values = len(counts) if complete else int(counted.n_values.value or 0) + n_new
        values = sorted((FacetValue(value, n) for value, n in counts.items()), key=lambda one: (-one.count, one.value))
        return Facet(values[: asked.max_values], n_values, _stats(counted.stats, numbers))

    def _kept(self, hits: Sequence[replies.Hit]) -> IntArray:
        """Slots of some hits. What a request did not ask for stays as an earlier one told it."""
        slots = []
        for hit in hits:
            found = str(hit.fields["id"][0])
            slot = self._slots.setdefault(found, len(self._rows))
            if slot == len(self._rows):
                columns, short = str(hit.fields[mapping.COLUMNS][0]), str(hit.fields.get(mapping.SHORT, [""])[0])
                self._rows.append(_Row(found, columns, short, hit.matched_queries, hit.fields))
            else:
                before = self._rows[slot]
                named, fields = {**before.named, **hit.matched_queries}, {**before.fields, **hit.fields}
                self._rows[slot] = msgspec.structs.replace(before, named=named, fields=fields)
            slots.append(slot)
        return np.array(slots, np.int64)

    def _require_known(self, asked: Retrieval) -> None:
        """Raises InvalidInput where a filter, facet or sort names a member that no document has, or not of its kind."""
        if not self._commit.kinds and not self.n_documents:
            return
        if asked.filters is not None:
            self.check_filter(asked.filters, "filters")
        for field, names in (("facets", asked.facets), ("sort", asked.sort)):
            for one in names:
                if one.field not in self._commit.kinds:
                    raise unknown_attribute(one.field, list(self._commit.kinds), field)


def _node_operator(asked: RequestedOperator) -> str:
    return {"auto": "auto", "all": "all", "any": "some"}[asked]


def _first_value(row: _Row, field: str) -> object:
    found = row.fields.get(mapping.member_path(field, "g"))
    return found[0] if found else None


def _stats(counted: replies.Stats | None, numbers: Sequence[float]) -> FacetStats | None:
    n = (counted.count if counted else 0) + len(numbers)
    if not n:
        return None
    lows, highs, total = list(numbers), list(numbers), sum(numbers)
    if counted is not None and counted.min is not None and counted.max is not None:
        lows, highs, total = [*lows, counted.min], [*highs, counted.max], total + counted.sum
    return FacetStats(min(lows), max(highs), total / n, total)
