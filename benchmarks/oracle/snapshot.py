"""Retrieval the plain way: the match set, both legs, facets and order. A slot is a position in `documents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from benchmarks.oracle.attributes import facet, kinds_of_attribute, passes, sort_values, values_of
from benchmarks.oracle.lexicon import OracleLexicon
from benchmarks.oracle.texts import OracleTexts
from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.analysis.query import Operator, Query, RequestedOperator
from searchsvc.analysis.title_heads import MAX_TITLE_WORDS, SearchedThing, goes_with
from searchsvc.engines import signals
from searchsvc.engines.attributes import attributes_of
from searchsvc.engines.filters import Comparison, Filter, without_field
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import Facet, FacetRequest, Retrieval, Retrieved, TextFeatures
from searchsvc.engines.values import value_key
from tuning.arrays import BoolArray, FloatArray, IntArray

FIRST_PAGE = 10


class OracleSnapshot:
    """An `EngineSnapshot`, and its `Reading`, over live documents."""

    generation = "oracle"
    catalog_seq = 0
    refusals: Mapping[str, str] = MappingProxyType({})

    def __init__(self, documents: Sequence[Upsert], settings: IndexSettings) -> None:
        self.documents = list(documents)
        self.settings = settings
        self.texts = OracleTexts(documents, settings)
        self.digest = DocumentsDigest().changed([d.text for d in documents], [])

    @property
    def n_documents(self) -> int:
        return len(self.documents)

    @property
    def is_fast(self) -> bool:
        return False

    def is_light(self, attributes: Sequence[str], n_documents: int) -> bool:
        return False

    @property
    def encodes_concurrently(self) -> bool:
        return False

    @property
    def lexicon(self) -> OracleLexicon:
        return self.texts.lexicon

    def reading(self) -> OracleSnapshot:
        return self

    @property
    def snapshot(self) -> OracleSnapshot:
        return self

    def retrieve(self, request: Retrieval) -> Retrieved:
        query, vector = request.query, request.query_vector()
        scope = [slot for slot in range(self.n_documents) if slot != request.excluded_slot]
        scope = [slot for slot in scope if self._passes(slot, request.scope)]
        scope = [slot for slot in scope if all(self.texts.contains(slot, phrase) for phrase in query.required)]
        scope = [slot for slot in scope if not any(self.texts.contains(slot, phrase) for phrase in query.excluded)]
        matching, operator, unmatched = self._match(query, scope, request.operator)
        matching = matching if request.has_keyword_leg or not query.text else []
        nearest, trust = self._vector_leg(request, scope, matching)
        pinned = [slot for slot in scope if self.documents[slot].id in request.pinned_ids]
        match_set = sorted({*matching, *nearest, *pinned})
        answer = [slot for slot in match_set if self._passes(slot, request.filters)]
        is_fallback = False
        if not answer and trust and request.operator != "all":
            passing = [slot for slot in scope if self._passes(slot, request.filters)]
            nearest = answer = self._nearest(request, passing, len(passing))
            is_fallback = bool(answer)
        by_score = self._by_score([slot for slot in matching if slot in set(answer)], request)
        nearest = [slot for slot in nearest if slot in set(answer)]
        boosted = [] if request.boosted is None else [slot for slot in by_score if self._passes(slot, request.boosted)]
        window = len(answer) if request.window is None else max(request.k, request.window, FIRST_PAGE)
        order = self._sorted(sorted(answer), request) if request.sort else by_score
        if request.after_id is not None:
            by_id = sorted(answer, key=lambda slot: self.documents[slot].id)
            order = [slot for slot in by_id if self.documents[slot].id > request.after_id]
        cosines = self.cosines(np.array(nearest, np.int64), vector) if vector is not None else np.empty(0, np.float32)
        return Retrieved(
            keyword=np.array(order[:window], np.int64),
            nearest=np.array(nearest, np.int64),
            cosines=cosines,
            vector_trust=trust,
            total=len(answer),
            operator=operator if request.has_operator else None,
            unmatched_terms=unmatched,
            facets={
                facet_request.field: self._facet(facet_request, request, match_set, answer)
                for facet_request in request.facets
            },
            is_fallback=is_fallback,
            pinned=np.array([slot for slot in pinned if slot in set(answer)], np.int64),
            boosted=np.array(boosted[: request.k], np.int64),
        )

    @property
    def n_attributes(self) -> int:
        return len({name for document in self.documents for name, _ in attributes_of(document.members)})

    def holds(self, clause: Comparison) -> bool:
        return any(values_of(document, clause.field) for document in self.documents)

    def check_filter(self, condition: Filter, field: str) -> None:
        return

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        return np.array([self._passes(slot, condition) for slot in slots.tolist()], np.bool_)

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        return self.texts.features(slots, query)

    def groups(self, field: str, slots: IntArray) -> IntArray:
        numbers: dict[object, int] = {}
        groups = []
        for slot in slots.tolist():
            values = values_of(self.documents[slot], field)
            # A document without the attribute is a group of its own.
            value = value_key(values[0]) if values else ("ungrouped", slot)
            groups.append(numbers.setdefault(value, len(numbers)))
        return np.array(groups, np.int64)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        cosines: FloatArray = self.vectors(slots) @ vector
        return cosines

    def vectors(self, slots: IntArray) -> FloatArray:
        dimension = next((len(d.vector) for d in self.documents if d.vector is not None), 0)
        blank = np.zeros(dimension, np.float32)
        rows = [self.documents[slot].vector for slot in slots.tolist()]
        stacked = [_quantised(row) if row is not None else blank for row in rows]
        return np.stack(stacked) if stacked else np.zeros((0, dimension), np.float32)

    def goes_with(self, slots: IntArray, thing: SearchedThing) -> BoolArray:
        return np.array([goes_with(title, thing) for title in self.titles(slots)], np.bool_)

    def titles(self, slots: IntArray) -> list[list[str]]:
        return [self.texts.title(slot)[:MAX_TITLE_WORDS] for slot in slots.tolist()]

    def sample(self, n: int) -> IntArray:
        return np.arange(self.n_documents)[:n]

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        rows = signals.stored(self.settings.signals, [self.documents[slot].members for slot in slots.tolist()])
        return signals.values(self.settings.signals, rows, timestamp_s)

    def id(self, slot: int) -> str:
        return self.documents[slot].id

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        return [msgspec.Raw(self.documents[slot].text) for slot in slots]

    def find(self, document_id: str) -> int | None:
        return next((slot for slot, document in enumerate(self.documents) if document.id == document_id), None)

    def _passes(self, slot: int, condition: Filter | None) -> bool:
        return passes(self.documents[slot], condition, self._kinds)

    def _kinds(self, field: str) -> frozenset[str]:
        return kinds_of_attribute(self.documents, field)

    def _match(
        self, query: Query, allowed: list[int], requested: RequestedOperator
    ) -> tuple[list[int], Operator, tuple[int, ...]]:
        """Return (matching slots, operator that applied, positions of required terms that no document contains)."""
        texts, fields = self.texts, range(len(self.settings.searchable))
        if not query.text:
            return allowed, "all", ()
        required = [(position, term) for position, term in enumerate(query.terms) if not term.optional]
        unmatched = tuple(position for position, term in required if not any(texts.df(term, i) for i in fields))
        terms = [term for position, term in required if position not in unmatched]
        if not terms or (requested == "all" and unmatched):
            return [], "any" if unmatched and requested != "all" else "all", unmatched
        holds = {slot: [any(texts.tf(slot, i, term) for i in fields) for term in terms] for slot in allowed}
        with_all = [slot for slot in allowed if all(holds[slot])]
        with_any = [slot for slot in allowed if any(holds[slot])]
        fills_page = len(with_all) >= FIRST_PAGE or len(with_any) == len(with_all)
        if requested == "all" or (requested == "auto" and fills_page):
            return with_all, "all", unmatched
        return with_any, "any" if requested == "any" or len(with_any) > len(with_all) else "all", unmatched

    def _keyword_scores(self, slots: list[int], request: Retrieval) -> dict[int, float]:
        """Return the weighted BM25 of each slot; without query text, the weighted signals."""
        if not request.query.text:
            rows = self.signals(np.array(slots, np.int64), request.timestamp_s) @ request.signal_weights
            return dict(zip(slots, rows.tolist(), strict=True))
        table = self.text_features(np.array(slots, np.int64), request.query).bm25
        boosts = [max(request.field_boosts.get(field.name, 1.0), 0.0) for field in self.settings.searchable]
        return {slot: round(float(row @ np.array(boosts)), 5) for slot, row in zip(slots, table, strict=True)}

    def _by_score(self, slots: list[int], request: Retrieval) -> list[int]:
        scores = self._keyword_scores(slots, request)
        return sorted(slots, key=lambda slot: (-scores[slot], self.documents[slot].id))

    def _nearest(self, request: Retrieval, slots: list[int], k: int) -> list[int]:
        vector = request.query_vector()
        if vector is None or self.settings.embedding is None:
            return []
        cosines = self.cosines(np.array(slots, np.int64), vector).tolist()
        near = [(cosine, slot) for cosine, slot in zip(cosines, slots, strict=True) if cosine > request.min_cosine]
        return [slot for _, slot in sorted(near, key=lambda pair: -pair[0])][:k]

    def _vector_leg(self, request: Retrieval, scope: list[int], matching: list[int]) -> tuple[list[int], float]:
        """Return the nearest slots and the vector trust: see `searchsvc.engines.vector_trust.vector_trust`."""
        vector = request.query_vector()
        nearest = self._nearest(request, scope, request.k)
        if vector is None or self.settings.embedding is None:
            return [], 0.0
        trust, first = 1.0, self._by_score(matching, request)[:10]
        if len(first) >= 3 and self.n_documents > len(nearest[:10]) and request.query.terms:
            mean, of_first, near = (
                float(self.cosines(np.array(slots, np.int64), vector).mean()) if slots else 0.0
                for slots in (list(range(self.n_documents)), first, nearest[:10])
            )
            share = (of_first - mean) / (near - mean) if near > mean else 0.0
            trust = min(max((share - 0.1) / 0.15, 0.0), 1.0)
        if not trust:
            return [], 0.0
        if request.operator == "all" and request.query.text:
            nearest = [slot for slot in nearest if slot in set(self._match(request.query, scope, "all")[0])]
        return nearest, trust

    def _sorted(self, slots: list[int], request: Retrieval) -> list[int]:
        order = sorted(slots, key=lambda slot: self.documents[slot].id)
        documents = {slot: self.documents[slot] for slot in order}
        for key in reversed(request.sort):
            order.sort(
                key=sort_values(documents, key.field, self._kinds(key.field), descending=key.descending).__getitem__
            )
        return order

    def _facet(self, facet_request: FacetRequest, request: Retrieval, match_set: list[int], answer: list[int]) -> Facet:
        """Count over the answer; a disjunctive facet over the match set without the filters on its own attribute."""
        filters = without_field(request.filters, facet_request.field)
        counted = answer
        if facet_request.disjunctive and filters != request.filters:
            counted = [slot for slot in match_set if self._passes(slot, filters)]
        documents, kinds = [self.documents[slot] for slot in counted], self._kinds(facet_request.field)
        values = facet(documents, facet_request.field, facet_request.max_values, kinds, facet_request.query)
        in_ranges = [sum(self._passes(slot, within) for slot in counted) for within in facet_request.range_filters()]
        return values.with_ranges(facet_request.ranges, in_ranges)


def _quantised(vector: FloatArray) -> FloatArray:
    """Return a vector as engines store it: rounded to bytes with one scale."""
    scale = np.float32(np.abs(vector).max() / 127)
    rounded: FloatArray = np.rint(vector / scale) * scale
    return rounded
