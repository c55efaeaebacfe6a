"""The state folded from BEHAVIOR: recent rankings, ids of stored interactions, and query counts. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from events.errors import Corrupt
from events.types import BehaviorEvent, InteractionRecorded
from searchsvc.behavior.query_counts import QueryCount, QueryCounts, RankingReader
from searchsvc.behavior.recent_rankings import RankingSummary, RecentRankings
from searchsvc.behavior.stored_events import StoredEventIds

RANKINGS_PER_PIECE: Final = 500


class BehaviorState:
    """BEHAVIOR up to message `seq`. Used on the event loop only.

    Interactions that this service stored are added by `acknowledge`, before their message is read back.

    n_rankings: rankings to keep.
    n_events: ids of stored interactions to keep, at least.
    reader: see `QueryCounts`.
    """

    def __init__(self, *, n_rankings: int, n_events: int, reader: RankingReader | None = None) -> None:
        self.seq = 0
        self.rankings = RecentRankings(n_rankings)
        self.event_ids = StoredEventIds(n_events)
        self.query_counts = QueryCounts(reader)
        self._acknowledged: OrderedDict[str, None] = OrderedDict()

    def has_stored(self, event_id: str) -> bool:
        """Return whether an interaction is in the log."""
        return event_id in self._acknowledged or event_id in self.event_ids

    def acknowledge(self, event_ids: Iterable[str]) -> None:
        """Note interactions that are in the log, in a message after `seq`."""
        self._acknowledged.update(dict.fromkeys(event_ids))
        while len(self._acknowledged) > self.event_ids.size:
            self._acknowledged.popitem(last=False)

    def fold(self, events: Sequence[BehaviorEvent], seq: int) -> list[BehaviorEvent]:
        """Add the events of message `seq` and return those that are new, each once.

        Returns nothing for a message that is folded already.
        """
        if seq <= self.seq:
            return []
        self.seq = seq
        if self._acknowledged:
            for event in events:
                self._acknowledged.pop(event.id, None)
        return [event for event in events if self._add(event, seq)]

    def parts(self) -> Mapping[str, Iterator[bytes]]:
        """Return the current state in named pieces of bytes, which may be read on any thread."""
        blocks, rankings = self.event_ids.blocks(), self.rankings.logged()
        pieces = (rankings[i : i + RANKINGS_PER_PIECE] for i in range(0, len(rankings), RANKINGS_PER_PIECE))
        return {
            "events": iter(blocks),
            "rankings": (_encoder.encode_lines(piece) for piece in pieces),
            "queries": iter([_encoder.encode_lines(list(self.query_counts))]),
        }

    def restore(self, parts: Mapping[str, bytes], seq: int) -> None:
        """Start from the state that `parts` returned at message `seq`. Raises Corrupt if it is not such a state."""
        try:
            rankings = _rankings_decoder.decode_lines(parts["rankings"])
            queries = _queries_decoder.decode_lines(parts["queries"])
            self.event_ids.restore(parts["events"])
        except (KeyError, msgspec.DecodeError) as error:
            raise Corrupt(f"no state of BEHAVIOR: {error}") from error
        self.rankings.restore(rankings)
        self.query_counts.restore(queries)
        self.seq = seq

    def _add(self, event: BehaviorEvent, seq: int) -> bool:
        """Add an event and return whether it is new."""
        if isinstance(event, InteractionRecorded):
            return self.event_ids.add(event.id)
        if not self.rankings.add(event, seq):
            return False
        self.query_counts.add(event)
        return True


_encoder: Final = msgspec.json.Encoder()
_rankings_decoder: Final = msgspec.json.Decoder(RankingSummary)
_queries_decoder: Final = msgspec.json.Decoder(QueryCount)
