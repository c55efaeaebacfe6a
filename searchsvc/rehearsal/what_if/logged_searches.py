"""Read the newest rankings of an index from BEHAVIOR, with their interactions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from events.codec import decode_behavior
from events.log import EventLog, first_stored_since
from events.types import BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.behavior.keyring import Keyring, User, open_ranking
from searchsvc.rehearsal.what_if.searches import INTERACTION_KINDS, ActedOn, LoggedSearch, RepeatableSearch
from searchsvc.runtime.clock import Clock
from searchsvc.search.last_known import LAST_KNOWN

# How many messages are read at most, the newest; one holds up to three hundred events.
MAX_MESSAGES: Final = 5000
MAX_RANKINGS: Final = 100_000


class LoggedSearchReader:
    """Reads logged searches.

    keyring: opens sealed queries
    """

    def __init__(self, event_log: EventLog, keyring: Keyring, clock: Clock) -> None:
        self._log = event_log
        self._keyring = keyring
        self._clock = clock

    async def read(self, index: str, back: timedelta) -> tuple[list[LoggedSearch], ActedOn]:
        """Return the newest searches of an index, oldest first, and what shoppers did with their documents.

        back: how far back to read
        """
        stream_state = await self._log.stream_state("BEHAVIOR")
        first_seq = await first_stored_since(self._log, "BEHAVIOR", self._clock() - back, stream_state)
        first_seq = max(first_seq, stream_state.last_seq - MAX_MESSAGES + 1)
        collected = _Collected(index)
        async for record in self._log.read("BEHAVIOR", after=first_seq - 1):
            collected.add((await asyncio.to_thread(decode_behavior, record.data)).events)
        return await asyncio.to_thread(self._open, collected.rankings.values()), collected.acted_on

    def _open(self, rankings: Iterable[RankingShown]) -> list[LoggedSearch]:
        """Open sealed queries. Reads the keyring: not for the event loop."""
        users: dict[str, User | None] = {}
        logged = []
        for shown in rankings:
            if shown.sealed_query and shown.user not in users:
                users[shown.user] = self._keyring.by_pseudonym(shown.user)
            opened = open_ranking(shown, users.get(shown.user))
            search = RepeatableSearch(opened.query, _without_page(opened.request)) if opened is not None else None
            logged.append(LoggedSearch(shown, search))
        return logged


class _Collected:
    """First pages of finished searches of an index, by query id, and the interactions with their documents."""

    def __init__(self, index: str) -> None:
        self._index = index
        self.rankings: dict[str, RankingShown] = {}
        self.acted_on: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(self, events: Iterable[BehaviorEvent]) -> None:
        for event in events:
            if event.index != self._index:
                continue
            if isinstance(event, InteractionRecorded):
                self._add_interaction(event)
            elif event.first_rank == 1 and not event.typing and LAST_KNOWN not in event.degraded:
                self._add_ranking(event)

    def _add_interaction(self, event: InteractionRecorded) -> None:
        # The log has a ranking before its interactions.
        if event.query_id in self.rankings and event.kind in INTERACTION_KINDS:
            self.acted_on[event.query_id][event.kind].add(event.document_id)

    def _add_ranking(self, event: RankingShown) -> None:
        self.rankings[event.id] = msgspec.structs.replace(event, features=(), scores=(), rule_factors=(), pinned_ids=())
        if len(self.rankings) > MAX_RANKINGS:
            oldest = next(iter(self.rankings))
            del self.rankings[oldest]
            self.acted_on.pop(oldest, None)


@lru_cache(maxsize=1000)
def _without_page(request: str) -> str:
    """Return a logged request without its page: a search for more hits is the same search."""
    members: dict[str, Any] = msgspec.json.decode(request) if request else {}
    searched_for = {name: value for name, value in members.items() if name not in ("limit", "offset")}
    return msgspec.json.encode(searched_for).decode() if searched_for else ""
