"""What the service knows of an index on the node after one write."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.engines.attributes import no_range_values, unknown_attribute
from searchsvc.engines.filters import Filter, Range, clauses
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.vectors import ServiceVectorsView
from searchsvc.engines.opensearch.vocabulary import VocabularyView
from searchsvc.engines.retrieval import Retrieval
from tuning.arrays import ScoreArray


class IndexState(msgspec.Struct, frozen=True):
    """An immutable state of an index.

    dimension: of the vectors, 0 without any
    vocabulary: its words and how many documents have each
    attribute_kinds: kinds of values of each attribute, see `searchsvc.engines.opensearch.mapping`
    vector_sum: (dimension,) sum of all vectors
    vectors: the vectors, if the service searches them instead of the node
    refusals: see `searchsvc.engines.protocol.EngineSnapshot`
    """

    index: ConcreteIndex
    settings: IndexSettings
    dimension: int
    catalog_seq: int
    digest: DocumentsDigest
    vocabulary: VocabularyView
    attribute_kinds: Mapping[str, frozenset[str]]
    vector_sum: ScoreArray
    vectors: ServiceVectorsView | None
    refusals: Mapping[str, str]

    @property
    def n_documents(self) -> int:
        return self.digest.count

    def check_filter(self, condition: Filter, field: str) -> None:
        """See `searchsvc.engines.protocol.EngineSnapshot.check_filter`."""
        if self._is_empty:
            return
        for clause in clauses(condition):
            if clause.field == "id":
                continue
            self._check_attribute(clause.field, field)
            kinds = self.attribute_kinds[clause.field]
            if isinstance(clause, Range) and ("d" if clause.dates else "n") not in kinds:
                raise no_range_values(clause.field, field, dates=clause.dates)

    def check_distinct(self, name: str) -> None:
        """Raise InvalidInput if no document has the attribute that hits are grouped by."""
        self._check_attribute(name, "distinct")

    def check_request(self, request: Retrieval) -> None:
        """Raise InvalidInput if a filter, facet or sort key names an attribute that no document has.

        An empty index accepts every name.
        """
        if self._is_empty:
            return
        if request.filters is not None:
            self.check_filter(request.filters, "filters")
        for facet in request.facets:
            self._check_attribute(facet.field, "facets")
        for key in request.sort:
            self._check_attribute(key.field, "sort")

    @property
    def _is_empty(self) -> bool:
        return not self.attribute_kinds and not self.n_documents

    def _check_attribute(self, name: str, field: str) -> None:
        if name not in self.attribute_kinds:
            raise unknown_attribute(name, list(self.attribute_kinds), field)
