"""Drafts: writing, previewing, approving, publishing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from events.edits import Edit
from events.errors import InvalidInput, require
from searchsvc.changes.draft import Draft
from searchsvc.search.request import SearchRequest

# Each is searched twice, one after the other.
MAX_PREVIEWED: Final = 100


class DraftInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole draft.

    edits: what it changes; see `events.edits`
    expected_version: refuse (409) if the draft is at another version; 0 if there must be no such draft yet
    """

    edits: tuple[Edit, ...]
    reason: str = ""
    expected_version: int | None = None


class DraftList(msgspec.Struct, frozen=True):
    """Drafts of an index, by id.

    next_after: `after` of the next page; null if this is the last one
    """

    index: str
    drafts: list[Draft]
    next_after: str | None = None


class DraftDeletedAnswer(msgspec.Struct, frozen=True):
    """A deleted draft."""

    id: str


class PreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Queries to preview.

    queries: texts, or whole search requests
    limit: number of hits for queries that are texts
    """

    queries: list[str | dict[str, object]]
    limit: int = 10

    def requests(self) -> list[SearchRequest]:
        """Return the queries as search requests. Raises InvalidInput."""
        require(1 <= len(self.queries) <= MAX_PREVIEWED, "queries", len(self.queries), f"1 to {MAX_PREVIEWED} queries")
        requests = []
        for position, query in enumerate(self.queries):
            members = {"query": query, "limit": self.limit} if isinstance(query, str) else query
            try:
                requests.append(msgspec.convert(members, SearchRequest))
            except msgspec.ValidationError as error:
                field, limit = f"queries[{position}]", "a text, or the members of a search"
                raise InvalidInput(f"{field}: {error}", field=field, value=str(query), limit=limit) from error
        return requests


class PublishInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to publish a draft.

    reason: recorded with the change
    force: overwrite what others have changed since the draft was saved
    """

    reason: str = ""
    force: bool = False


class ApproveInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which draft is approved.

    expected_version: version of the draft that was reviewed; refuse (409) if it is at another one
    """

    reason: str = ""
    expected_version: int | None = None


class ScheduleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to publish a draft.

    publish_at: with a time zone
    reason: recorded with the change
    """

    publish_at: datetime
    reason: str = ""
