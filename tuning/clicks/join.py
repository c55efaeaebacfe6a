"""Join rankings with their interactions: a clickthrough is a ranking with one of its interactions. Pure.

An interaction whose ranking has not come yet waits for a bounded time, then becomes an orphan. Events are delivered at
least once, so each event id counts once.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

from events.types import BehaviorEvent, InteractionRecorded, RankingShown

_ranking_encoder = msgspec.msgpack.Encoder()
_ranking_decoder = msgspec.msgpack.Decoder(RankingShown)


class Clickthrough(msgspec.Struct, frozen=True):
    """One interaction and its ranking.

    ranking: None if the interaction names no ranking, because it was not made on a ranking.
    """

    ranking: RankingShown | None
    interaction: InteractionRecorded


class Orphan(msgspec.Struct, frozen=True):
    """An interaction whose ranking did not come, or did not show its document."""

    interaction: InteractionRecorded
    reason: str


class ClickthroughJoin:
    """A fold over BEHAVIOR.

    wait: how long an interaction waits for its ranking, from when it was received.
    n_rankings: limit on stored rankings; past it the oldest is dropped.
    n_waiting: limit on waiting interactions; past it the oldest becomes an orphan.
    """

    def __init__(self, *, wait: timedelta, n_rankings: int = 100_000, n_waiting: int = 100_000) -> None:
        self._wait = wait
        self._n_rankings = n_rankings
        self._n_waiting = n_waiting
        # Encoded: few rankings are ever clicked, and as objects they take five times the memory.
        self._rankings: OrderedDict[str, bytes] = OrderedDict()
        self._waiting: OrderedDict[str, InteractionRecorded] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()

    def has_ranking(self, query_id: str) -> bool:
        return query_id in self._rankings

    def waiting(self) -> list[InteractionRecorded]:
        """Return the interactions that wait for their ranking."""
        return list(self._waiting.values())

    def apply(self, event: BehaviorEvent) -> list[Clickthrough | Orphan]:
        """Take in an event, and return the clickthroughs and orphans that it completes."""
        if isinstance(event, RankingShown):
            return self._add_ranking(event)
        if event.id in self._finished or event.id in self._waiting:
            return []
        if event.query_id is None:
            self._finish(event.id)
            return [Clickthrough(None, event)]
        ranking = self._rankings.get(event.query_id)
        if ranking is not None:
            return [self._joined(_ranking_decoder.decode(ranking), event)]
        self._waiting[event.id] = event
        return [self._orphaned(next(iter(self._waiting)))] if len(self._waiting) > self._n_waiting else []

    def expire(self, now: datetime) -> list[Orphan]:
        """Return the interactions that have waited too long, as orphans, oldest first. Call it from time to time."""
        # Receive times of different sources are not in order, so all waiting interactions are examined.
        late = [event.id for event in self._waiting.values() if event.received_at + self._wait <= now]
        return [self._orphaned(event_id) for event_id in late]

    def _add_ranking(self, ranking: RankingShown) -> list[Clickthrough | Orphan]:
        if ranking.id in self._rankings:
            return []
        self._rankings[ranking.id] = _ranking_encoder.encode(ranking)
        if len(self._rankings) > self._n_rankings:
            self._rankings.popitem(last=False)
        interactions = [event for event in self._waiting.values() if event.query_id == ranking.id]
        for event in interactions:
            del self._waiting[event.id]
        return [self._joined(ranking, event) for event in interactions]

    def _joined(self, ranking: RankingShown, event: InteractionRecorded) -> Clickthrough | Orphan:
        """Join the two if the ranking showed the document; admission could not check this without the ranking."""
        self._finish(event.id)
        if event.index != ranking.index or event.document_id not in ranking.document_ids:
            return Orphan(event, f"ranking {ranking.id} did not show document {event.document_id[:80]!r}")
        return Clickthrough(ranking, event)

    def _orphaned(self, event_id: str) -> Orphan:
        event = self._waiting.pop(event_id)
        self._finish(event_id)
        return Orphan(event, f"no ranking {event.query_id} came within {self._wait.total_seconds():g} s")

    def _finish(self, event_id: str) -> None:
        self._finished[event_id] = None
        if len(self._finished) > 10 * self._n_rankings:
            self._finished.popitem(last=False)
