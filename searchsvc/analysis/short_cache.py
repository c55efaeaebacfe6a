"""A cache of what is computed of words. It is bounded by bytes as well, because a document may hold a word of a
megabyte. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

T = TypeVar("T")

# A longer text is computed each time: no word of an index is as long, and no value.
MAX_CACHED_CHARS: Final = 200


def short_cache(max_entries: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Cache the results of a function for texts of up to `MAX_CACHED_CHARS` characters, those used last."""

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        cached = lru_cache(max_entries)(function)

        @wraps(function)
        def call(text: str) -> T:
            return cached(text) if len(text) <= MAX_CACHED_CHARS else function(text)

        return call

    return decorate
