"""Join rankings with what followed: a clickthrough is a ranking and its interactions. Pure; time is an argument.

An interaction whose ranking has not come yet waits a bounded time, then is handed back as an orphan. Events come at
least once, so each id counts once.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

from events.types import BehaviorEvent, InteractionRecorded, RankingShown

_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(RankingShown)


class Clickthrough(msgspec.Struct, frozen=True):
    """One interaction with the ranking it belongs to; None where it names no ranking (it came from elsewhere)."""

    ranking: RankingShown | None
    interaction: InteractionRecorded


class Orphan(msgspec.Struct, frozen=True):
    """An interaction that waited for its ranking in vain, and why it is given up."""

    interaction: InteractionRecorded
    reason: str


class ClickthroughJoin:
    """A fold over BEHAVIOR.

    wait: how long an interaction waits for its ranking, from when it was received. n_rankings, n_waiting: bounds on
    memory; past the first the oldest ranking is forgotten, past the second the oldest waiting one is an orphan.
    """

    def __init__(self, *, wait: timedelta, n_rankings: int = 100_000, n_waiting: int = 100_000) -> None:
        self._wait = wait
        self._n_rankings = n_rankings
        self._n_waiting = n_waiting
        # Packed: few are ever clicked, and as objects they take five times the memory.
        self._rankings: OrderedDict[str, bytes] = OrderedDict()
        self._waiting: OrderedDict[str, InteractionRecorded] = OrderedDict()
        self._counted: OrderedDict[str, None] = OrderedDict()

    def knows(self, query_id: str) -> bool:
        """Whether the ranking of this id is held."""
        return query_id in self._rankings

    def waiting(self) -> list[InteractionRecorded]:
        """Those that wait for their ranking."""
        return list(self._waiting.values())

    def apply(self, event: BehaviorEvent) -> list[Clickthrough | Orphan]:
        """What becomes known with this event."""
        if isinstance(event, RankingShown):
            return self._shown(event)
        if event.id in self._counted or event.id in self._waiting:
            return []
        if event.query_id is None:
            return [self._joined(None, event)]
        ranking = self._rankings.get(event.query_id)
        if ranking is not None:
            return [self._judged(_unpack.decode(ranking), event)]
        self._waiting[event.id] = event
        return [self._given_up(next(iter(self._waiting)))] if len(self._waiting) > self._n_waiting else []

    def expire(self, now: datetime) -> list[Orphan]:
        """Give up on what has waited too long. Call it now and then; oldest first."""
        # Receive times may be out of order between sources, so all that wait are looked at.
        late = [event.id for event in self._waiting.values() if event.received_at + self._wait <= now]
        return [self._given_up(event_id) for event_id in late]

    def _shown(self, ranking: RankingShown) -> list[Clickthrough | Orphan]:
        if ranking.id in self._rankings:
            return []
        self._rankings[ranking.id] = _pack.encode(ranking)
        if len(self._rankings) > self._n_rankings:
            self._rankings.popitem(last=False)
        mine = [event for event in self._waiting.values() if event.query_id == ranking.id]
        for event in mine:
            del self._waiting[event.id]
        return [self._judged(ranking, event) for event in mine]

    def _judged(self, ranking: RankingShown, event: InteractionRecorded) -> Clickthrough | Orphan:
        """The door could not know this ranking where it let the event in; here it is known."""
        self._count(event.id)
        if event.index != ranking.index or event.document_id not in ranking.document_ids:
            return Orphan(event, f"ranking {ranking.id} did not show document {event.document_id[:80]!r}")
        return Clickthrough(ranking, event)

    def _joined(self, ranking: RankingShown | None, event: InteractionRecorded) -> Clickthrough:
        self._count(event.id)
        return Clickthrough(ranking, event)

    def _given_up(self, event_id: str) -> Orphan:
        event = self._waiting.pop(event_id)
        self._count(event_id)
        return Orphan(event, f"no ranking {event.query_id} came within {self._wait.total_seconds():g} s")

    def _count(self, event_id: str) -> None:
        self._counted[event_id] = None
        if len(self._counted) > 10 * self._n_rankings:
            self._counted.popitem(last=False)
