"""What the service knows of an index on the node after one write."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.engines.attributes import check_filter
from searchsvc.engines.filters import Comparison, Filter, Range
from searchsvc.engines.opensearch.attribute_columns import AttributeKinds, kinds_of_attribute
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.vectors import ServiceVectorsView
from searchsvc.engines.opensearch.vocabulary import VocabularyView
from searchsvc.engines.values import Reading
from tuning.arrays import ScoreArray


class IndexState(msgspec.Struct, frozen=True):
    """An immutable state of an index.

    dimension: of the vectors, 0 without any
    vocabulary: its words and how many documents have each
    attribute_kinds: kinds of values of each attribute, see `searchsvc.engines.values.kinds_of`
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
    attribute_kinds: AttributeKinds
    vector_sum: ScoreArray
    vectors: ServiceVectorsView | None
    refusals: Mapping[str, str]

    @property
    def n_documents(self) -> int:
        return self.digest.count

    def check_filter(self, condition: Filter, field: str) -> None:
        """See `searchsvc.engines.protocol.EngineSnapshot.check_filter`."""
        if self.attribute_kinds or self.n_documents:
            check_filter(condition, field, lambda: list(self.attribute_kinds), self.holds)

    def holds(self, clause: Comparison) -> bool:
        """See `searchsvc.engines.protocol.EngineSnapshot.holds`."""
        if not isinstance(clause, Range) or clause.field not in self.attribute_kinds:
            return clause.field in self.attribute_kinds
        kinds = kinds_of_attribute(self.attribute_kinds, clause.field)
        if clause.dates:
            return "date" in kinds and "no date" not in kinds
        return "number" in kinds or Reading.of_kinds(kinds).amounts
