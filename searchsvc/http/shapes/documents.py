"""Documents."""

from __future__ import annotations

import msgspec

from events.errors import InvalidInput
from events.settings import IndexSettings
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.indexing.coverage import DocumentWarning
from searchsvc.indexing.documents import RefusedDocument


class DocumentsAccepted(msgspec.Struct, frozen=True):
    """The result of writing documents.

    accepted: number of documents written
    catalog_seq: every accepted document is searchable once the index has applied this CATALOG sequence
    created: settings of the index if these documents created it; null otherwise
    warnings: what is odd about accepted documents, such as a new member that is not searched
    """

    accepted: int
    refused: list[RefusedDocument]
    catalog_seq: int
    created: IndexSettings | None = None
    warnings: list[DocumentWarning] = []


class DeletionInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Documents to delete: by their ids, or by a filter, written as in a search."""

    ids: list[str] = []
    filter: str | dict[str, object] | None = None

    def condition(self) -> Filter | None:
        """Return the filter, None for ids. Raises InvalidInput unless there is exactly one of the two."""
        if bool(self.ids) == bool(self.filter):
            limit = "`ids`, or a `filter`"
            raise InvalidInput(f"say which documents: {limit}, and not both", field="ids", limit=limit)
        return parse_filter(self.filter, "filter")


class DocumentWrittenAnswer(msgspec.Struct, frozen=True):
    """A document that was changed or deleted.

    catalog_seq: CATALOG sequence of the change
    """

    catalog_seq: int
