"""What a search asks of an engine, and what the engine returns. Pure values.

A *slot* is the number by which one `Reading` (see `searchsvc.engines.protocol`) names a document.

Which documents match is decided within the *scope* alone: never by filters, facets, sort keys or the page. The match
set is the documents of the scope that the keyword query matches, its neighbours by vector, and pinned documents. The
answer is what of it passes the filters, and facets count that; so choosing a facet's value gives its count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.analysis.query import Operator, Query, RequestedOperator
from searchsvc.engines.filters import Filter, without_field
from searchsvc.engines.filters.json_form import parse_json
from searchsvc.engines.values import beginnings_of, value_key
from tuning.arrays import FloatArray, IntArray

# Operator `auto` requires all words if at least this many documents contain them all, and any word otherwise.
FULL_PAGE: Final = 10
# A sum is rounded to as many digits, because its last one depends on the order of its numbers.
_SUM_DIGITS: Final = 15


class SortKey(msgspec.Struct, frozen=True):
    """Order by an attribute. Documents without it come last."""

    field: str
    descending: bool = False


class FacetRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range of numbers or dates, with bounds as in filters. In an answer, `count` documents have a value in it."""

    low: int | float | str | None = msgspec.field(name="from", default=None)
    high: int | float | str | None = msgspec.field(name="to", default=None)
    above: int | float | str | None = None
    below: int | float | str | None = None
    count: int | None = None


class FacetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Count the values of an attribute.

    disjunctive: ignore the filters on this attribute, so that the other values a shopper could choose are counted too
    ranges: count documents in these ranges, too
    query: count only values that have a word which begins with this
    """

    field: str
    max_values: int = 20
    disjunctive: bool = False
    ranges: tuple[FacetRange, ...] = ()
    query: str = ""

    @property
    def beginnings(self) -> tuple[str, ...]:
        """What words of a listed value begin with: see `searchsvc.engines.values.beginnings_of`; () for any."""
        return beginnings_of(self.query)

    def filters_of(self, filters: Filter | None) -> Filter | None:
        """Return those of a search's filters that this facet is counted under."""
        return without_field(filters, self.field) if self.disjunctive else filters

    def range_filters(self, path: str = "ranges") -> list[Filter]:
        """Return the filters that a document of each range passes. Raises InvalidInput. path: of the ranges"""
        filters: list[Filter] = []
        for i, bounds in enumerate(self.ranges):
            members = {name: value for name, value in msgspec.to_builtins(bounds).items() if value is not None}
            filters.append(parse_json({"field": self.field, **members}, f"{path}[{i}]"))
        return filters


class Retrieval(msgspec.Struct, frozen=True):
    """What to retrieve.

    query: without text, every document matches
    vector: (dimension,) vector of the query, of length 1; or a function that computes it, which the engine may call on
        any thread; None leaves the vector leg out
    field_boosts: searchable field -> factor of its BM25, at least 0; 1 for a field that is absent
    signal_weights: (n_signals,) weights that order the documents if the query has no text
    k: candidates of each leg
    window: how many documents the keyword order must contain; None for all
    operator: which query terms a document must contain; `auto` is all if that fills a first page, else any; `all`
        counts for neighbours too
    min_cosine: only documents that are nearer to the query are its neighbours
    has_keyword_leg: False if only neighbours match
    excluded_slot: slot of a document to leave out
    filters: what the shopper refines by
    facets: attributes to count over the answer
    sort: keys that replace the keyword order
    distinct: attribute that the hits will be grouped by
    timestamp_s: the moment at which ageing signals are valued, in seconds since 1970
    scope: filter that says what the collection is
    pinned_ids: ids of documents that belong to the match set without matching, if they are in the scope
    boosted: the k best matches that pass this filter are retrieved as well
    test_filters: filters that `Reading.passes` will be asked about
    after_id: order by id, and leave out what does not come after this one; '' leaves out nothing
    """

    query: Query
    vector: FloatArray | Callable[[], FloatArray | None] | None
    field_boosts: Mapping[str, float]
    signal_weights: FloatArray
    k: int
    window: int | None
    operator: RequestedOperator = "auto"
    min_cosine: float = -1.0
    has_keyword_leg: bool = True
    excluded_slot: int | None = None
    filters: Filter | None = None
    facets: tuple[FacetRequest, ...] = ()
    sort: tuple[SortKey, ...] = ()
    distinct: str | None = None
    timestamp_s: float = 0.0
    scope: Filter | None = None
    pinned_ids: tuple[str, ...] = ()
    boosted: Filter | None = None
    test_filters: tuple[Filter, ...] = ()
    after_id: str | None = None

    @property
    def has_operator(self) -> bool:
        """Whether words decide what matches: not without text, nor if neighbours match that need not have any."""
        return bool(self.query.text) and (self.has_keyword_leg or self.operator == "all")

    def query_vector(self) -> FloatArray | None:
        """Return the query's vector; compute it if `vector` is a function."""
        return self.vector() if callable(self.vector) else self.vector


def _no_slots() -> IntArray:
    return np.empty(0, np.int64)


class Retrieved(msgspec.Struct, frozen=True):
    """What an engine found: the documents of the match set that pass the filters.

    keyword: slots of at least max(window, k) documents of the keyword leg, best first; with `sort` or `after_id`,
        slots of all documents in that order
    nearest: slots of the vector leg, nearest first
    cosines: (n_nearest,) their cosines with the query
    vector_trust: how far cosines tell what the query is about, in [0, 1]; at 0 the vector leg finds nothing
    total: number of documents
    operator: which query terms a document had to contain; None if words decided nothing: see `Retrieval.has_operator`
    unmatched_terms: positions of required query terms that no document contains
    facets: counts over the documents, by attribute
    is_fallback: whether no document of the match set passes the filters, so that these are the neighbours of the
        query among those that do
    degraded: parts of the engine that did not answer
    pinned: slots of the pinned documents that exist and pass, ascending
    boosted: slots of the best matches that pass the filter `boosted`, best first
    """

    keyword: IntArray
    nearest: IntArray
    cosines: FloatArray
    vector_trust: float
    total: int
    operator: Operator | None
    unmatched_terms: tuple[int, ...]
    facets: dict[str, Facet]
    is_fallback: bool = False
    degraded: tuple[str, ...] = ()
    pinned: IntArray = msgspec.field(default_factory=_no_slots)
    boosted: IntArray = msgspec.field(default_factory=_no_slots)


class FacetValue(msgspec.Struct, frozen=True):
    """A value as documents spell it, and how many matching documents have it."""

    value: str
    count: int


def most_frequent_first(values: Iterable[FacetValue]) -> list[FacetValue]:
    """Return values in the order of a facet: most frequent first, equally frequent ones by their keys."""
    return sorted(values, key=lambda value: (-value.count, value_key(value.value)))


class FacetStats(msgspec.Struct, frozen=True):
    """Statistics of the numbers that the matching documents have in an attribute."""

    min: float
    max: float
    mean: float
    sum: float

    @staticmethod
    def from_totals(low: float, high: float, total: float, n: int) -> FacetStats:
        """Return the statistics of n numbers. total: their sum"""
        total = float(f"{total:.{_SUM_DIGITS}g}")
        return FacetStats(low, high, total / n, total)


class Facet(msgspec.Struct, frozen=True, omit_defaults=True):
    """The values of one attribute over the match set.

    values: see `most_frequent_first`
    n_values: number of distinct values, also those beyond `values`: of those, OpenSearch estimates it
    stats: None if the attribute has no numbers, or only some of its values were asked for
    ranges: the requested ranges with their counts
    """

    values: list[FacetValue]
    n_values: int
    stats: FacetStats | None
    ranges: list[FacetRange] = []

    def with_ranges(self, ranges: Sequence[FacetRange], counts: Sequence[int]) -> Facet:
        """Return the facet with counted ranges."""
        counted = [msgspec.structs.replace(bounds, count=n) for bounds, n in zip(ranges, counts, strict=True)]
        return msgspec.structs.replace(self, ranges=counted)


class TextFeatures(msgspec.Struct, frozen=True):
    """How each of n candidates matches the text of a query; all 0 for a candidate without any of its terms.

    bm25: (n, n_searchable) BM25 of each field, as a share of the most that the query could earn in one field
    exact_title: (n,) 1 if the title is the query, word by word
    all_terms: (n,) 1 if the document contains every query term that is in the index and is no stop word
    coverage: (n,) share of the query's idf that the document contains, a little less for another inflection of a word
    phrase: (n,) share of the query's neighbouring terms that are neighbours in the document
    proximity: (n,) how near they come to each other, in [0, 1]
    """

    bm25: FloatArray
    exact_title: FloatArray
    all_terms: FloatArray
    coverage: FloatArray
    phrase: FloatArray
    proximity: FloatArray

    @staticmethod
    def zeros(n: int, n_searchable: int) -> TextFeatures:
        """Return the features of n candidates that match nothing."""
        column = np.zeros(n, np.float32)
        return TextFeatures(np.zeros((n, n_searchable), np.float32), column, column, column, column, column)
