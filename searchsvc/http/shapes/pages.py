"""Which page of a list by name."""

from __future__ import annotations

import msgspec

from searchsvc.runtime.pages import MAX_PAGE_ITEMS


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list to answer.

    after: only what comes past this name; '' for the first page
    limit: number of items, at most; a page may hold fewer and have a next one
    """

    after: str = ""
    limit: int = MAX_PAGE_ITEMS
