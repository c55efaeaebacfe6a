"""What a service remembers of BEHAVIOR: who was shown what, and which interactions are stored. Pure.

A fold: `BehaviorMemory.fold` takes the log's messages in order, and its state at a sequence goes into a snapshot.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from events.errors import Corrupt
from events.types import BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.behavior.query_counts import QueryCount, QueryCounts

DIGEST_BYTES: Final = 16
BLOCK_IDS: Final = 4096
RANKINGS_A_CHUNK: Final = 500


class KnownRanking(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One ranking in short. seq: its BEHAVIOR message; 0 while it is not in the log yet."""

    id: str
    seq: int
    index: str
    first_rank: int
    document_ids: tuple[str, ...]


class KnownRankings:
    """The newest `size` rankings by query id: the documents shown, in order. Used on the event loop only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._shown: OrderedDict[str, KnownRanking] = OrderedDict()

    def __len__(self) -> int:
        return len(self._shown)

    def __contains__(self, query_id: str) -> bool:
        return query_id in self._shown

    def remember(self, ranking: RankingShown, seq: int = 0) -> bool:
        """Keep a ranking, forgetting the oldest where there are too many; say whether it is new to the log.

        seq: where the log has it; 0 before that.
        """
        known = self._shown.get(ranking.id)
        if known is not None and (known.seq or not seq):
            return False
        short = KnownRanking(ranking.id, seq, ranking.index, ranking.first_rank, ranking.document_ids)
        self._keep(short)
        return True

    def seq_of(self, query_id: str) -> int:
        """The BEHAVIOR message that holds a ranking; 0 where that is not known."""
        known = self._shown.get(query_id)
        return known.seq if known is not None else 0

    def contradiction(self, query_id: str, index: str, document_id: str, rank: int | None) -> tuple[str, str] | None:
        """(field, reason) where an interaction cannot have happened on the ranking it names; None where it can, and
        where the ranking is not known here."""
        known = self._shown.get(query_id)
        if known is None:
            return None
        if index != known.index:
            return "index", f"ranking {query_id} was shown by index {known.index}, not {index}"
        if document_id not in known.document_ids:
            return "document_id", f"ranking {query_id} did not show document {document_id[:80]!r}"
        actual = known.first_rank + known.document_ids.index(document_id)
        if rank is not None and rank != actual:
            return "rank", f"ranking {query_id} showed document {document_id[:80]!r} at rank {actual}, not {rank}"
        return None

    def stored(self) -> list[KnownRanking]:
        """Those that the log has, oldest first."""
        return [known for known in self._shown.values() if known.seq]

    def restore(self, rankings: Iterable[KnownRanking]) -> None:
        for known in rankings:
            self._keep(known)

    def _keep(self, known: KnownRanking) -> None:
        self._shown[known.id] = known
        if len(self._shown) > self._size:
            self._shown.popitem(last=False)


class StoredEvents:
    """The ids of the newest interactions in the log, at least `size` of them, so that each counts once.

    Kept as digests of 16 bytes, about 120 bytes each in all, in blocks that are forgotten whole.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._digests: set[bytes] = set()
        self._blocks: deque[bytes] = deque()
        self._filling = bytearray()

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, event_id: str) -> bool:
        return _digest(event_id) in self._digests

    def add(self, event_id: str) -> bool:
        """Remember an id; whether it is new."""
        digest = _digest(event_id)
        if digest in self._digests:
            return False
        self._add(digest)
        return True

    def blocks(self) -> list[bytes]:
        """All digests, oldest first, one after the other."""
        return [*self._blocks, bytes(self._filling)]

    def restore(self, digests: bytes) -> None:
        for start in range(0, len(digests), DIGEST_BYTES):
            self._add(digests[start : start + DIGEST_BYTES])

    def _add(self, digest: bytes) -> None:
        self._digests.add(digest)
        self._filling += digest
        if len(self._filling) == BLOCK_IDS * DIGEST_BYTES:
            self._blocks.append(bytes(self._filling))
            self._filling.clear()
            if (len(self._blocks) - 1) * BLOCK_IDS >= self.size:
                self._digests.difference_update(_split(self._blocks.popleft()))


class BehaviorMemory:
    """BEHAVIOR up to message `seq`, as far as the door and the folds need it. Used on the event loop only.

    An event that this service stored is known at once (`acknowledge`), before its message comes round.
    """

    def __init__(self, *, n_rankings: int, n_events: int) -> None:
        self.seq = 0
        self.rankings = KnownRankings(n_rankings)
        self.events = StoredEvents(n_events)
        self.queries = QueryCounts()
        self._acknowledged: OrderedDict[str, None] = OrderedDict()

    def has_stored(self, event_id: str) -> bool:
        return event_id in self._acknowledged or event_id in self.events

    def acknowledge(self, event_ids: Iterable[str]) -> None:
        """These are in the log, somewhere after `seq`."""
        self._acknowledged.update(dict.fromkeys(event_ids))
        while len(self._acknowledged) > self.events.size:
            self._acknowledged.popitem(last=False)

    def fold(self, events: Sequence[BehaviorEvent], seq: int) -> list[BehaviorEvent]:
        """Take the events of message `seq`; return those that were not there before, each once."""
        if seq <= self.seq:
            return []
        self.seq = seq
        if self._acknowledged:
            for event in events:
                self._acknowledged.pop(event.id, None)
        return [event for event in events if self._new(event, seq)]

    def _new(self, event: BehaviorEvent, seq: int) -> bool:
        if isinstance(event, InteractionRecorded):
            return self.events.add(event.id)
        if not self.rankings.remember(event, seq):
            return False
        self.queries.note(event)
        return True

    def parts(self) -> Mapping[str, Iterator[bytes]]:
        """The state in pieces, each made when it is asked for: on any thread, from what is remembered now."""
        blocks, rankings = self.events.blocks(), self.rankings.stored()
        chunks = (rankings[i : i + RANKINGS_A_CHUNK] for i in range(0, len(rankings), RANKINGS_A_CHUNK))
        return {
            "events": iter(blocks),
            "rankings": (_encoder.encode_lines(chunk) for chunk in chunks),
            "queries": iter([_encoder.encode_lines(list(self.queries))]),
        }

    def restore(self, parts: Mapping[str, bytes], seq: int) -> None:
        """The state that `parts` gave at `seq`. Raises Corrupt where it is no such state."""
        try:
            rankings = _rankings_decoder.decode_lines(parts["rankings"])
            self.queries = QueryCounts(_queries_decoder.decode_lines(parts["queries"]))
            self.events.restore(parts["events"])
        except (KeyError, msgspec.DecodeError) as error:
            raise Corrupt(f"no state of BEHAVIOR: {error}") from error
        self.rankings.restore(rankings)
        self.seq = seq


_encoder: Final = msgspec.json.Encoder()
_rankings_decoder: Final = msgspec.json.Decoder(KnownRanking)
_queries_decoder: Final = msgspec.json.Decoder(QueryCount)


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def _split(block: bytes) -> Iterator[bytes]:
    return (block[start : start + DIGEST_BYTES] for start in range(0, len(block), DIGEST_BYTES))
