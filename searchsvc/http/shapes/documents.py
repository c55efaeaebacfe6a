"""Documents."""

from __future__ import annotations

import msgspec

from events.errors import InvalidInput
from searchsvc.engines.filters import Filter, parse_filter


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
