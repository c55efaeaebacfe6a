"""An engine that does everything the plain way: it looks at each document, and is short enough to be read as the rules.

What the other engines answer is held against it. Source of BM25: Robertson & Zaragoza 2009, eq. 3.15.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.lexicon import SimilarWord
from searchsvc.analysis.query import Operator, Query, QueryTerm, RequestedOperator
from searchsvc.analysis.stemming import stem
from searchsvc.engines import signals
from searchsvc.engines.dates import epoch_seconds
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Filter, Is, Not, Range, without_field
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import Facet, FacetStats, FacetValue, Retrieval, Retrieved, TextFeatures
from tuning.arrays import BoolArray, FloatArray, IntArray

K1, B = 1.2, 0.75
FIRST_PAGE = 10


def edits(one: str, other: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours, none inside another."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


class OracleLexicon:
    def __init__(self, words: set[str], frequencies: Mapping[str, int]) -> None:
        self.words = words
        self.frequencies = frequencies

    def count(self, term: str) -> int:
        return self.frequencies.get(term, 0)

    def similar(self, word: str, max_edits: int) -> list[SimilarWord]:
        near = [one for one in self.words if abs(len(one) - len(word)) <= max_edits]
        found = [SimilarWord(one, d, self.count(stem(one))) for one in near if (d := edits(word, one)) <= max_edits]
        return sorted(found, key=lambda one: (one.edits, -one.frequency, one.word))

    def completions(self, prefix: str, n: int) -> list[SimilarWord]:
        longer = [one for one in self.words if one.startswith(prefix) and one != prefix]
        return sorted(
            (SimilarWord(w, 0, self.count(stem(w))) for w in longer), key=lambda one: (-one.frequency, one.word)
        )[:n]


class OracleSnapshot:
    """An `EngineSnapshot` over live documents; a slot is a place in `documents`."""

    generation = "oracle"
    catalog_seq = 0
    refusals: Mapping[str, str] = MappingProxyType({})

    def __init__(self, documents: Sequence[Upsert], settings: IndexSettings) -> None:
        self.documents = list(documents)
        self.settings = settings
        self.analyses = [[analyze(field_text(d.members, field)) for field in settings.searchable] for d in documents]
        self.tokens = [[self._tokens(one) for one in fields] for fields in self.analyses]
        self.digest = DocumentsDigest().changed([d.text for d in documents], [])

    @staticmethod
    def _tokens(analysis: Analysis) -> list[tuple[str, int]]:
        """(word, position), compounds at the position of their first word."""
        words = [(word, at) for at, word in enumerate(analysis.words)]
        return words + [(compound.text, compound.start) for compound in analysis.compounds]

    @property
    def n_documents(self) -> int:
        return len(self.documents)

    @property
    def is_fast(self) -> bool:
        return False

    @property
    def encodes_concurrently(self) -> bool:
        return False

    @cached_property
    def _frequencies(self) -> list[Counter[str]]:
        """By field, in how many documents each stem is."""
        return [
            Counter(s for fields in self.tokens for s in {stem(word) for word, _ in fields[i]})
            for i in range(len(self.settings.searchable))
        ]

    @cached_property
    def _mean_lengths(self) -> list[float]:
        """By field, in words."""
        return [
            sum(len(fields[i].words) for fields in self.analyses) / max(self.n_documents, 1)
            for i in range(len(self.settings.searchable))
        ]

    @cached_property
    def lexicon(self) -> OracleLexicon:
        words = {word for fields in self.tokens for field in fields for word, _ in field}
        return OracleLexicon(words, {s: max(f[s] for f in self._frequencies) for f in self._frequencies for s in f})

    def reading(self) -> OracleSnapshot:
        return self

    @property
    def snapshot(self) -> OracleSnapshot:
        return self

    def retrieve(self, asked: Retrieval) -> Retrieved:
        query = asked.query
        vector = asked.query_vector()
        allowed = self._allowed(asked, asked.filters)
        match, operator, left_out = self._match(query, allowed, asked.operator)
        scores = self._keyword_scores(match, asked)
        by_words = sorted(match, key=lambda i: (-scores[i], self.documents[i].id))
        nearest, trust = self._vector_leg(asked, allowed, by_words)
        pinned = self._pinned(asked, allowed)
        match_set = sorted({*match, *nearest, *pinned})
        lifted = [i for i in by_words if self._passes(i, asked.boosted)] if asked.boosted is not None else []
        window = len(match_set) if asked.window is None else max(asked.k, asked.window, 10)
        if asked.sort:
            order = sorted(match_set, key=lambda i: self.documents[i].id)
            for key in reversed(asked.sort):
                order.sort(key=self._sort_values(order, key.field, key.descending).__getitem__)
        else:
            order = by_words
        facets = {}
        for one in asked.facets:
            within = match_set
            others = without_field(asked.filters, one.field)
            if one.disjunctive and others != asked.filters:
                wider = self._allowed(asked, others)
                matching, _, _ = self._match(query, wider, operator)
                beside = self._nearest(vector, asked.k, wider) if trust else []
                within = sorted({*matching, *beside, *self._pinned(asked, wider)})
            facets[one.field] = self._facet(one.field, within, one.max_values)
        return Retrieved(
            keyword=np.array(order[:window], np.int64),
            nearest=np.array(nearest, np.int64),
            cosines=self.cosines(np.array(nearest, np.int64), vector)
            if vector is not None
            else np.empty(0, np.float32),
            vector_trust=trust,
            total=len(match_set),
            operator=operator if query.text else None,
            unmatched_terms=left_out,
            facets=facets,
            pinned=np.array(pinned, np.int64),
            boosted=np.array(lifted[: asked.k], np.int64),
        )

    def _allowed(self, asked: Retrieval, filters: Filter | None) -> list[int]:
        there = [i for i in range(self.n_documents) if i != asked.excluded_slot and self._passes(i, asked.scope)]
        return [i for i in there if self._passes(i, filters)]

    def _pinned(self, asked: Retrieval, allowed: list[int]) -> list[int]:
        return [i for i in allowed if self.documents[i].id in asked.pinned_ids]

    def check_filter(self, condition: Filter, field: str) -> None:
        return

    def passes(self, slots: IntArray, condition: Filter) -> BoolArray:
        return np.array([self._passes(slot, condition) for slot in slots.tolist()], np.bool_)

    def text_features(self, slots: IntArray, query: Query) -> TextFeatures:
        n_fields, names = len(self.settings.searchable), [f.name for f in self.settings.searchable]
        title = names.index(self.settings.title)
        telling = [self._idf(max(self._df(term, i) for i in range(n_fields))) for term in query.terms]
        known = [any(self._df(term, i) for i in range(n_fields)) for term in query.terms]
        total = sum(t for t, k in zip(telling, known, strict=True) if k)
        rows = []
        for slot in slots.tolist():
            bm25 = [self._bm25(slot, i, query, total) for i in range(n_fields)]
            held = [any(self._tf(slot, i, term) for i in range(n_fields)) for term in query.terms]
            needed = [h for h, k, t in zip(held, known, query.terms, strict=True) if k and not t.optional]
            coverage = sum(t for t, h in zip(telling, held, strict=True) if h) / total if total else 0.0
            words = tuple(self.analyses[slot][title].words)
            exact = bool(total) and words == query.words and bool(words)
            pairs = [self._pair(slot, query, at) for at in range(len(query.terms) - 1)]
            phrase = float(np.mean([p for p, _ in pairs])) if pairs else 0.0
            near = float(np.mean([p for _, p in pairs])) if pairs else 0.0
            rows.append([*bm25, exact, bool(needed) and all(needed), coverage, phrase, near])
        table = np.array(rows, np.float32).reshape(len(slots), n_fields + 5)
        return TextFeatures(table[:, :n_fields], *(table[:, n_fields + i] for i in range(5)))

    def groups(self, field: str, slots: IntArray) -> IntArray:
        self._require(field)
        first: dict[object, int] = {}
        found = []
        for slot in slots.tolist():
            values = self._values(slot, field)
            texts = [value for value in values if isinstance(value, str)]
            value = texts[0] if texts else values[0] if values else ("alone", slot)
            found.append(first.setdefault(value, len(first)))
        return np.array(found, np.int64)

    def cosines(self, slots: IntArray, vector: FloatArray) -> FloatArray:
        rows = [self.documents[slot].vector for slot in slots.tolist()]
        return np.array([_as_bytes(row) @ vector for row in rows if row is not None], np.float32)

    def vector(self, slot: int) -> FloatArray | None:
        vector = self.documents[slot].vector
        return _as_bytes(vector) if vector is not None else None

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        rows = signals.stored(self.settings.signals, [self.documents[slot].members for slot in slots.tolist()])
        return signals.values(self.settings.signals, rows, timestamp_s)

    def id(self, slot: int) -> str:
        return self.documents[slot].id

    def read(self, slots: Sequence[int]) -> list[msgspec.Raw | None]:
        return [msgspec.Raw(self.documents[slot].text) for slot in slots]

    def find(self, document_id: str) -> int | None:
        return next((i for i, d in enumerate(self.documents) if d.id == document_id), None)

    def _match(
        self, query: Query, allowed: list[int], asked: RequestedOperator
    ) -> tuple[list[int], Operator, tuple[int, ...]]:
        n_fields = len(self.settings.searchable)
        if not query.text:
            return allowed, "all", ()
        required = [(at, t) for at, t in enumerate(query.terms) if not t.optional]
        left_out = tuple(at for at, t in required if not any(self._df(t, i) for i in range(n_fields)))
        wanted = [t for at, t in required if at not in left_out]
        if not wanted:
            return [], "any" if left_out else "all", left_out
        holds = {i: [any(self._tf(i, f, t) for f in range(n_fields)) for t in wanted] for i in allowed}
        every, some = [i for i in allowed if all(holds[i])], [i for i in allowed if any(holds[i])]
        if asked == "all" or (asked == "auto" and (len(every) >= FIRST_PAGE or len(some) == len(every))):
            return every, "all", left_out
        return some, "any" if asked == "any" or len(some) > len(every) else "all", left_out

    def _nearest(self, vector: FloatArray | None, k: int, allowed: list[int]) -> list[int]:
        if vector is None or self.settings.embedding is None:
            return []
        cosines = self.cosines(np.array(allowed, np.int64), vector).tolist()
        return [i for _, i in sorted(zip(cosines, allowed, strict=True), key=lambda one: -one[0])][:k]

    def _vector_leg(self, asked: Retrieval, allowed: list[int], by_words: list[int]) -> tuple[list[int], float]:
        """The nearest, and how far to trust them: see `searchsvc.engines.vector_trust.vector_trust`."""
        vector = asked.query_vector()
        nearest = self._nearest(vector, asked.k, allowed)
        if vector is None or self.settings.embedding is None:
            return [], 0.0
        if len(by_words) < 3 or self.n_documents <= len(nearest[:10]) or not asked.query.terms:
            return nearest, 1.0
        every, first, near = (
            float(self.cosines(np.array(slots, np.int64), vector).mean()) if slots else 0.0
            for slots in (list(range(self.n_documents)), by_words[:10], nearest[:10])
        )
        share = (first - every) / (near - every) if near > every else 0.0
        trust = min(max((share - 0.1) / 0.15, 0.0), 1.0)
        return (nearest, trust) if trust else ([], 0.0)

    def _keyword_scores(self, slots: list[int], asked: Retrieval) -> dict[int, float]:
        if not asked.query.text:
            rows = self.signals(np.array(slots, np.int64), asked.timestamp_s) @ asked.signal_weights
            return dict(zip(slots, rows.tolist(), strict=True))
        table = self.text_features(np.array(slots, np.int64), asked.query).bm25
        boosts = [max(asked.field_boosts.get(field.name, 1.0), 0.0) for field in self.settings.searchable]
        return {slot: round(float(row @ np.array(boosts)), 5) for slot, row in zip(slots, table, strict=True)}

    def _idf(self, df: int) -> float:
        return math.log(1 + (self.n_documents - df + 0.5) / (df + 0.5))

    def _df(self, term: QueryTerm, field: int) -> int:
        return max((self._frequencies[field][one.stem] for one in term.alternatives), default=0)

    def _tf(self, slot: int, field: int, term: QueryTerm) -> float:
        weight = {one.stem: one.weight for one in term.alternatives}
        return sum(weight.get(stem(word), 0.0) for word, _ in self.tokens[slot][field])

    def _bm25(self, slot: int, field: int, query: Query, total: float) -> float:
        norm = K1 * (1 - B + B * len(self.analyses[slot][field].words) / max(self._mean_lengths[field], 1e-9))
        earned = 0.0
        for term in query.terms:
            tf = self._tf(slot, field, term)
            if tf:
                earned += self._idf(self._df(term, field)) * tf * (K1 + 1) / (tf + norm)
        return earned / ((K1 + 1) * total) if total else 0.0

    def _pair(self, slot: int, query: Query, at: int) -> tuple[float, float]:
        """Whether terms `at` and `at` + 1 stand side by side in a field, and how near they come (1 / gap, up to 8).

        Of the places where terms of the query are found, those are compared that have at most one between them.
        """
        phrase, near = 0.0, 0.0
        for field in self.tokens[slot]:
            found = [(at, place) for word, at in field for place, t in enumerate(query.terms) if self._is(word, t)]
            for step in (1, 2):
                for (position, place), (later, other) in zip(found, found[step:], strict=False):
                    if {place, other} == {at, at + 1} and 1 <= abs(later - position) <= 8:
                        near = max(near, 1 / abs(later - position))
                        in_order = (later - position) * (other - place)
                        phrase = max(phrase, float(in_order == query.terms[at].n_words))
        return phrase, near

    @staticmethod
    def _is(word: str, term: QueryTerm) -> bool:
        return any(one.stem == stem(word) for one in term.alternatives)

    def _values(self, slot: int, field: str) -> list[str | float]:
        value: object = self.documents[slot].members.get(field)
        values = value if isinstance(value, list) else [value]
        short = ("true" if v is True else "false" if v is False else v for v in values)
        found = [
            float(v) if isinstance(v, int | float) else v for v in short if isinstance(v, str | int | float) and v != ""
        ]
        return list(dict.fromkeys(found))

    def _require(self, field: str) -> None:
        if self.documents and not any(self._values(i, field) for i in range(self.n_documents)):
            raise InvalidInput(f"no document has {field}", field=field)

    def _passes(self, slot: int, given: Filter | None) -> bool:
        match given:
            case None:
                return True
            case Not(part=part):
                return not self._passes(slot, part)
            case AllOf(parts=parts):
                return all(self._passes(slot, part) for part in parts)
            case AnyOf(parts=parts):
                return any(self._passes(slot, part) for part in parts)
            case Is(field="id", values=wanted):
                return self.documents[slot].id in wanted
            case Exists(field=field):
                return bool(self._values(slot, field))
            case Is(field=field, values=wanted):
                folded = {value.casefold() for value in wanted}
                numbers = {n for value in wanted if (n := _number(value)) is not None}
                values = self._values(slot, field)
                return any(v.casefold() in folded if isinstance(v, str) else v in numbers for v in values)
            case Range(field=field, low=low, high=high, low_included=at_low, high_included=at_high, dates=dates):
                held = [
                    epoch_seconds(v) if isinstance(v, str) else None if dates else v for v in self._values(slot, field)
                ]
                numbers = {v for v in held if v is not None and (dates or not isinstance(v, str))}
                return any((v >= low if at_low else v > low) and (v <= high if at_high else v < high) for v in numbers)

    def _sort_values(self, slots: list[int], field: str, descending: bool) -> dict[int, float]:
        """Numbers where any of the slots has one, else dates, else places in the order of the texts."""
        values = {slot: self._values(slot, field) for slot in slots}
        texts = sorted(
            {v for held in values.values() for v in held if isinstance(v, str)}, key=lambda t: (t.casefold(), t)
        )
        kinds = [
            {slot: [v for v in held if isinstance(v, float)] for slot, held in values.items()},
            {
                slot: [d for v in held if isinstance(v, str) and (d := epoch_seconds(v)) is not None]
                for slot, held in values.items()
            },
            {slot: [float(texts.index(v)) for v in held if isinstance(v, str)] for slot, held in values.items()},
        ]
        chosen = next((kind for kind in kinds if any(kind.values())), kinds[0])
        sign = -1 if descending else 1
        return {slot: min((sign * v for v in held), default=math.inf) for slot, held in chosen.items()}

    def _facet(self, field: str, slots: list[int], max_values: int) -> Facet:
        counts = Counter(_shown(v) for slot in slots for v in self._values(slot, field))
        values = sorted((FacetValue(v, n) for v, n in counts.items()), key=lambda one: (-one.count, one.value))
        numbers = [v for slot in slots for v in self._values(slot, field) if isinstance(v, float)]
        stats = FacetStats(min(numbers), max(numbers), sum(numbers) / len(numbers), sum(numbers)) if numbers else None
        return Facet(values[:max_values], len(values), stats)


def _as_bytes(vector: FloatArray) -> FloatArray:
    """What is left of a vector that is kept as bytes with a scale."""
    scale = np.float32(np.abs(vector).max() / 127)
    kept: FloatArray = np.rint(vector / scale) * scale
    return kept


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else str(int(value)) if value.is_integer() else repr(value)
