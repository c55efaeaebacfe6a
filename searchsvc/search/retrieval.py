"""First step of a ranking: ask the engine for candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.filters import both
from searchsvc.engines.retrieval import Retrieval, Retrieved
from searchsvc.search.prepared_search import PreparedSearch
from tuning.arrays import FloatArray
from tuning.features import BM25_PREFIX, SIGNAL_PREFIX

# A cosine that every document exceeds.
ANY: Final = -1.0


class SearchRetrieval(msgspec.Struct, frozen=True):
    """What the engine found for one search.

    retrieved: answer of the engine.
    vector: (dimension,) vector of the query; None without one.
    degraded: parts that are missing.
    """

    retrieved: Retrieved
    vector: FloatArray | None
    degraded: list[str]


def retrieve(
    prepared: PreparedSearch, weights: Mapping[str, float], n_candidates: int, timestamp_s: float
) -> SearchRetrieval:
    """Retrieve the candidates of both legs.

    weights: the keyword leg weighs fields and signals as the score does, so that it finds what the score ranks first.
    n_candidates: of each leg.
    timestamp_s: the moment at which ageing signals are valued, in seconds since 1970.
    """
    retrieved = prepared.reading.retrieve(_engine_request(prepared, weights, n_candidates, timestamp_s))
    vector = prepared.encoding()
    return SearchRetrieval(retrieved, vector, [*prepared.encoding.degraded, *retrieved.degraded])


def _engine_request(
    prepared: PreparedSearch, weights: Mapping[str, float], n_candidates: int, timestamp_s: float
) -> Retrieval:
    request, directives = prepared.request, prepared.applied.directives
    settings = prepared.reading.snapshot.settings
    signal_weights = [weights.get(SIGNAL_PREFIX + signal.field, 0.0) for signal in settings.signals]
    return Retrieval(
        query=prepared.query,
        vector=prepared.encoding.for_retrieval(),
        field_boosts={field.name: weights.get(BM25_PREFIX + field.name, 0.0) for field in settings.searchable},
        signal_weights=np.array(signal_weights, np.float32),
        k=n_candidates,
        # A document that is pinned further down leaves its place on the page to another.
        window=None if request.distinct else request.window + len(directives.pins),
        operator=request.operator,
        min_cosine=ANY if request.like else prepared.measured.neighbour_cut,
        has_keyword_leg=prepared.retrieval_mode != "vector",
        excluded_slot=prepared.excluded_slot,
        filters=prepared.filters.refined,
        facets=request.facet_requests(),
        sort=request.sort_keys(),
        after_id=request.after_id(),
        distinct=request.distinct or None,
        timestamp_s=timestamp_s,
        scope=both(prepared.filters.scope, directives.scope),
        pinned_ids=tuple(pin.document_id for pin in directives.pins),
        boosted=directives.boosted_filter,
        test_filters=tuple(dict.fromkeys(boost.filter for boost in directives.boosts if boost.filter is not None)),
    )
