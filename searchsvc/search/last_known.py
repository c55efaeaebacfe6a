"""The last answers to the most recent searches, for while what finds documents is away. Pure.

One that is shown again says `degraded: ["last_known"]`, and its sequences are those of when it was found.
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
# Longer ones take too much memory for how seldom they are asked for again.
MAX_HITS: Final = 100


class LastKnown:
    """The newest `size` answers by what was asked: not who asked, nor how fresh it had to be. Used on the event loop
    only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, int, bytes], SearchOutcome] = OrderedDict()

    def keep(self, control: IndexControl, request: SearchRequest, outcome: SearchOutcome) -> None:
        """Remember an answer that lacks nothing, forgetting the oldest where there are too many."""
        if not self._size or outcome.answer.degraded or len(outcome.answer.hits) > MAX_HITS:
            return
        key = _key(control, request)
        self._kept[key] = outcome
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def find(
        self, control: IndexControl, request: SearchRequest, *, query_id: str, now: datetime
    ) -> SearchOutcome | None:
        """The last answer to the same request, shown again as `query_id`; None without one as fresh as it has to be."""
        outcome = self._kept.get(_key(control, request)) if self._size else None
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
    asked = msgspec.structs.replace(request, user_token="", min_seq=0, min_catalog_seq=0)
    return control.name, control.created_seq, msgspec.json.encode(asked)
