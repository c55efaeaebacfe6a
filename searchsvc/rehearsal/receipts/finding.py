"""Find a logged ranking by its query id."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from events.codec import decode_behavior
from events.errors import Gone, NotFound
from events.log import EventLog, first_stored_since
from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.recent_rankings import RecentRankings
from searchsvc.rehearsal.receipts.located_ranking import LocatedRanking
from searchsvc.runtime.clock import Clock
from searchsvc.search.query_ids import query_id_timestamp

# A ranking is stored within a moment of being shown, or later if the log is away.
MAX_DELAY: Final = timedelta(minutes=15)
# How far the clocks of two services may differ.
MAX_CLOCK_SKEW: Final = timedelta(seconds=2)
STORED_WITHIN_S: Final = 2.0
POLL_INTERVAL_S: Final = 0.05


class RankingFinder:
    """Finds logged rankings.

    rankings: the newest rankings, by query id
    keyring: opens sealed queries
    """

    def __init__(self, event_log: EventLog, rankings: RecentRankings, keyring: Keyring, clock: Clock) -> None:
        self._log = event_log
        self._rankings = rankings
        self._keyring = keyring
        self._clock = clock
        # One search of the log at a time: a caller who invents query ids can cause no more load.
        self._turn = asyncio.Semaphore(1)

    async def find(self, query_id: str) -> LocatedRanking:
        """Return a ranking.

        Raises NotFound if the log has no such ranking, Gone if it is past the log's age, and Unavailable if
        the log is out of reach.
        """
        seq = await self._recent_seq(query_id)
        located = await self._read_message(query_id, seq) if seq else await self._search_log(query_id)
        if located is None:
            raise NotFound(f"the log has no ranking {query_id[:80]!r}", field="query_id", value=query_id)
        return located

    async def _recent_seq(self, query_id: str) -> int:
        """Return the message of a recent ranking, once it is stored; 0 if the ranking is not recent."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STORED_WITHIN_S
        while query_id in self._rankings and loop.time() < deadline:
            seq = self._rankings.message_seq(query_id)
            if seq:
                return seq
            await asyncio.sleep(POLL_INTERVAL_S)
        return 0

    async def _search_log(self, query_id: str) -> LocatedRanking | None:
        """Look for a ranking around the time that its query id states."""
        timestamp = query_id_timestamp(query_id)
        if timestamp is None or timestamp > self._clock() + MAX_DELAY:
            return None
        async with self._turn:
            return await self._search_log_around(query_id, timestamp)

    async def _search_log_around(self, query_id: str, timestamp: datetime) -> LocatedRanking | None:
        stream_state = await self._log.stream_state("BEHAVIOR")
        first_seq = await first_stored_since(self._log, "BEHAVIOR", timestamp - MAX_CLOCK_SKEW, stream_state)
        if first_seq == stream_state.first_seq > 1:
            await self._require_within_age(query_id, timestamp, first_seq)
        async for record in self._log.read("BEHAVIOR", after=first_seq - 1):
            if record.timestamp > timestamp + MAX_DELAY:
                break
            located = await self._decode(query_id, record.seq, record.data)
            if located is not None:
                return located
        return None

    async def _require_within_age(self, query_id: str, timestamp: datetime, first_seq: int) -> None:
        """Raise Gone if the oldest message that is still stored is too new to hold the ranking."""
        oldest = await self._log.get("BEHAVIOR", first_seq)
        if oldest is None or oldest.timestamp > timestamp + MAX_DELAY:
            limit = f"later than {oldest.timestamp.isoformat()}" if oldest is not None else "later"
            raise _gone(query_id, limit)

    async def _read_message(self, query_id: str, seq: int) -> LocatedRanking | None:
        record = await self._log.get("BEHAVIOR", seq)
        if record is None:
            raise _gone(query_id, "")
        return await self._decode(query_id, seq, record.data)

    async def _decode(self, query_id: str, seq: int, data: bytes) -> LocatedRanking | None:
        if query_id.encode() not in data:
            return None
        return await asyncio.to_thread(self._find_in, query_id, seq, data)

    def _find_in(self, query_id: str, seq: int, data: bytes) -> LocatedRanking | None:
        for position, event in enumerate(decode_behavior(data).events):
            if isinstance(event, RankingShown) and event.id == query_id:
                return self._opened(event, seq, position)
        return None

    def _opened(self, shown: RankingShown, seq: int, position: int) -> LocatedRanking:
        opened = self._keyring.opened(shown)
        if opened is None:
            return LocatedRanking(shown, seq, position, None)
        return LocatedRanking(opened, seq, position, opened.query)


def _gone(query_id: str, limit: str) -> Gone:
    message = f"ranking {query_id} is past the age of the log"
    return Gone(message, field="query_id", value=query_id, limit=limit)
