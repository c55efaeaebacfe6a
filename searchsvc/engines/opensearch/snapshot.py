"""The snapshot of an index on the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.engines.columnar.lexicon_view import LexiconView
from searchsvc.engines.filters import Comparison, Filter
from searchsvc.engines.opensearch.reading import OpenSearchReading
from searchsvc.engines.opensearch.state import IndexState


class OpenSearchSnapshot:
    """An `EngineSnapshot`: immutable as far as the service knows the index. The node itself always has the newest."""

    def __init__(self, state: IndexState) -> None:
        self.state = state

    def reading(self) -> OpenSearchReading:
        return OpenSearchReading(self, self.state)

    @property
    def settings(self) -> IndexSettings:
        return self.state.settings

    @property
    def generation(self) -> str:
        return self.state.index.name

    @property
    def catalog_seq(self) -> int:
        return self.state.catalog_seq

    @property
    def digest(self) -> DocumentsDigest:
        return self.state.digest

    @property
    def refusals(self) -> Mapping[str, str]:
        return self.state.refusals

    @property
    def n_documents(self) -> int:
        return self.state.n_documents

    @property
    def is_fast(self) -> bool:
        """Never: each search waits for the node."""
        return False

    def is_light(self, attributes: Sequence[str], n_documents: int) -> bool:
        return False

    @property
    def encodes_concurrently(self) -> bool:
        return False

    @property
    def lexicon(self) -> LexiconView:
        return self.state.vocabulary.lexicon

    @property
    def n_attributes(self) -> int:
        return len(self.state.attribute_kinds)

    def holds(self, clause: Comparison) -> bool:
        return self.state.holds(clause)

    def check_filter(self, condition: Filter, field: str) -> None:
        self.state.check_filter(condition, field)
