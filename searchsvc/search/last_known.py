"""The latest answers to the most recent requests, shown while nothing can be searched.

An answer that is shown again says `degraded: ["last_known"]`, and its sequences are those of when it was found.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

import msgspec

from events.index_control import IndexControl
from searchsvc.search.answer import SearchOutcome
from searchsvc.search.request import SearchRequest

LAST_KNOWN: Final = "last_known"
# Longer answers take too much memory for how seldom they are requested again.
MAX_HITS: Final = 100


class LastKnown:
    """Keeps the newest `size` answers by request, for all users. Used on the event loop only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._outcomes: OrderedDict[tuple[str, int, bytes], SearchOutcome] = OrderedDict()

    def keep(self, control: IndexControl, request: SearchRequest, outcome: SearchOutcome) -> None:
        """Keep an answer unless it is degraded or long, and forget the oldest if there are too many."""
        if not self._size or outcome.answer.degraded or len(outcome.answer.hits) > MAX_HITS:
            return
        key = _key(control, request)
        self._outcomes[key] = outcome
        self._outcomes.move_to_end(key)
        if len(self._outcomes) > self._size:
            self._outcomes.popitem(last=False)

    def find(
        self, control: IndexControl, request: SearchRequest, *, query_id: str, now: datetime
    ) -> SearchOutcome | None:
        """Return the latest answer to the same request under a new id.

        Returns None without one, or if it is older than `min_seq` or `min_catalog_seq` of the request allow.
        """
        outcome = self._outcomes.get(_key(control, request)) if self._size else None
        if outcome is None:
            return None
        answer = outcome.answer
        is_fresh = answer.applied_seq >= request.min_seq and answer.applied_catalog_seq >= request.min_catalog_seq
        if not is_fresh:
            return None
        return SearchOutcome(
            msgspec.structs.replace(answer, query_id=query_id, degraded=[LAST_KNOWN]),
            msgspec.structs.replace(outcome.shown, id=query_id, timestamp=now, degraded=(LAST_KNOWN,)),
            outcome.timings,
        )


def _key(control: IndexControl, request: SearchRequest) -> tuple[str, int, bytes]:
    """Identify a request regardless of the user and of how fresh the answer must be."""
    anonymous = msgspec.structs.replace(request, user_token="", min_seq=0, min_catalog_seq=0)
    return control.name, control.created_seq, msgspec.json.encode(anonymous)
