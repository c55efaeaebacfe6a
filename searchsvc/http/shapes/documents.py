"""Documents."""

from __future__ import annotations

import msgspec

from events.settings import IndexSettings
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


class DocumentWrittenAnswer(msgspec.Struct, frozen=True):
    """A document that was changed or deleted.

    catalog_seq: CATALOG sequence of the change
    """

    catalog_seq: int
