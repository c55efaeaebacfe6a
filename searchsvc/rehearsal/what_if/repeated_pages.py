"""Repeat a search without and with a draft."""

from __future__ import annotations

import asyncio
from typing import Final

from events.control import ControlState
from events.errors import InvalidInput, Unavailable
from searchsvc.rehearsal.rehearser import CompareSearches
from searchsvc.rehearsal.what_if.searches import FirstPages, RepeatableSearch

MAX_ATTEMPTS: Final = 3


async def repeat(
    compare: CompareSearches, index: str, before: ControlState, after: ControlState, search: RepeatableSearch
) -> FirstPages | None:
    """Return the first pages of a search by two states of CONTROL.

    compare: searches by both

    Returns None if the search can no longer be made, for example because an attribute that it names is gone, or if one
    of the answers was degraded in every attempt, so that they cannot be compared.
    Raises Unavailable if no attempt gave answers.
    """
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            first, second = await compare(index, before, after, search.request())
        except InvalidInput:
            return None
        except Unavailable:
            if attempt == MAX_ATTEMPTS:
                raise
            await asyncio.sleep(attempt)
            continue
        if first.degraded == second.degraded:
            return FirstPages([hit.id for hit in first.hits], [hit.id for hit in second.hits])
    return None
