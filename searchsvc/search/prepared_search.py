"""A search whose query is understood: what `Searcher.prepare` hands to `Searcher.complete`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from events.errors import InvalidInput, NotFound
from events.index_control import IndexControl
from events.settings import RetrievalMode
from searchsvc.analysis.query import Query
from searchsvc.analysis.title_heads import SearchedThing, searched_thing
from searchsvc.engines.protocol import Reading
from searchsvc.rules.rulebook import Rulebook
from searchsvc.runtime.stopwatch import Laps
from searchsvc.search.applied_rules import AppliedRules
from searchsvc.search.encoding import QueryEncoding
from searchsvc.search.request import SearchFilters, SearchRequest
from searchsvc.state.serving_state import Measurements, ServingState
from tuning.arrays import FloatArray


class SegmentWeights(msgspec.Struct, frozen=True):
    """Weights by feature name, and the id of the segment that set some of them; None for those of the index."""

    weights: Mapping[str, float]
    segment: str | None


class SimilarTo(msgspec.Struct, frozen=True):
    """A document that a search asks for neighbours of.

    slot: its slot, which is left out of the answer.
    vector: (dimension,).
    """

    slot: int
    vector: FloatArray


class PreparedSearch(msgspec.Struct, frozen=True):
    """A search whose query is understood. `Searcher.complete` consumes it: its encoding and laps are used once.

    state: serving state that this search reads.
    index: name of the index.
    reading: reading of the engine snapshot that this search reads.
    laps: times its stages.
    applied: the rules that fired, and the query as they change it.
    chosen: the weights of the index or of a segment.
    filters: filters of the request.
    measured: in the documents of the index.
    encoding: vector of the query.
    excluded_slot: slot of a document to leave out.
    """

    state: ServingState
    index: str
    request: SearchRequest
    reading: Reading
    laps: Laps
    applied: AppliedRules
    chosen: SegmentWeights
    filters: SearchFilters
    measured: Measurements
    encoding: QueryEncoding
    excluded_slot: int | None = None

    @property
    def control(self) -> IndexControl:
        """The index as CONTROL configures it."""
        return self.state.control.index(self.index)

    @property
    def retrieval_mode(self) -> RetrievalMode:
        """How documents match."""
        return self.request.retrieval_mode(self.control.settings)

    @property
    def query(self) -> Query:
        """The query as it is searched."""
        return self.applied.query

    @property
    def thing(self) -> SearchedThing | None:
        """What the query is after; None if it names nothing."""
        return searched_thing(self.query, self.measured.heads, self.reading.snapshot.lexicon.languages)

    @property
    def is_boosted(self) -> bool:
        """Whether rules boost or bury."""
        return bool(self.applied.directives.boosts)


def choose_weights(control: IndexControl, book: Rulebook, applied: AppliedRules) -> SegmentWeights:
    """Return the weights of the segment that the search belongs to, or those of the index."""
    stored = book.find_segment(applied.context)
    if stored is None:
        return SegmentWeights(control.weights, None)
    return SegmentWeights({**control.weights, **stored.segment.weights}, stored.id)


def find_similar_to(reading: Reading, document_id: str) -> SimilarTo:
    """Look up the document whose neighbours are searched.

    Raises NotFound if there is no such document, InvalidInput if it has no vector.
    """
    slot = reading.find(document_id)
    if slot is None:
        raise NotFound(f"there is no document {document_id[:80]!r} to be like", field="like", value=document_id)
    vectors = reading.vectors(np.array([slot]))
    if not vectors.any():
        limit = "a document of an index that embeds"
        raise InvalidInput(f"document {document_id[:80]!r} has no vector", field="like", value=document_id, limit=limit)
    return SimilarTo(slot, vectors[0])
