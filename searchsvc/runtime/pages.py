"""Pages of long lists: bounded by how many items they hold, and by how many bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from events.errors import require
from events.sizes import MIB

T = TypeVar("T")

MAX_PAGE_BYTES: Final = 4 * MIB
MAX_PAGE_ITEMS: Final = 1000


class Page(Generic[T]):
    """A page that is filled one item at a time. A single item may be larger than a page.

    limit: number of items, at most; up to `max_items`

    Raises InvalidInput, naming `limit`.
    """

    def __init__(self, limit: int, *, max_items: int = MAX_PAGE_ITEMS, max_bytes: int = MAX_PAGE_BYTES) -> None:
        require(1 <= limit <= max_items, "limit", limit, f"1 to {max_items}")
        self.items: list[T] = []
        self._limit = limit
        self._n_bytes_left = max_bytes

    def add(self, item: T, n_bytes: int) -> bool:
        """Add the next item; one that has no room is left out. Return whether the page takes more.

        n_bytes: about what the item takes in an answer
        """
        if self.items and n_bytes > self._n_bytes_left:
            return False
        self.items.append(item)
        self._n_bytes_left -= n_bytes
        return len(self.items) < self._limit


class NamedPage(NamedTuple, Generic[T]):
    """Some items of a list by name.

    next_after: the next page begins after this name, and may be empty; None if this is the last page
    """

    items: list[T]
    next_after: str | None


def named_page(names: Iterable[str], build: Callable[[str], T], after: str, limit: int) -> NamedPage[T]:
    """Return the first items past a name, in the order of names, as many as fit a page.

    build: returns the item of a name
    after: '' for the first page
    limit: number of items, at most

    Raises InvalidInput, naming `limit`.
    """
    page = Page[tuple[str, T]](limit)
    for name in sorted(name for name in names if name > after):
        item = build(name)
        if not page.add((name, item), len(msgspec.json.encode(item))):
            return NamedPage([item for _, item in page.items], page.items[-1][0])
    return NamedPage([item for _, item in page.items], None)
