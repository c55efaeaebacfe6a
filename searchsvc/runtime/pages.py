"""Pages of long lists: bounded by how many items they hold, and by how many bytes. Pure."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from events.errors import require

T = TypeVar("T")

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
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
