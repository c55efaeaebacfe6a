"""Who was shown what and which interactions are stored: the newest of each. Pure but for its own memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque

from events.types import RankingShown


class KnownRankings:
    """The newest `size` rankings by query id: the documents shown, in order. Used on the event loop only."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._shown: OrderedDict[str, tuple[str, int, tuple[str, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._shown)

    def remember(self, ranking: RankingShown) -> None:
        """Keep a ranking, forgetting the oldest where there are too many. One that is known stays as it is."""
        if ranking.id not in self._shown:
            self._shown[ranking.id] = (ranking.index, ranking.first_rank, tuple(ranking.document_ids))
            if len(self._shown) > self.size:
                self._shown.popitem(last=False)

    def contradiction(self, query_id: str, index: str, document_id: str, rank: int | None) -> tuple[str, str] | None:
        """(field, reason) where an interaction cannot have happened on the ranking it names; None where it can, and
        where the ranking is not known here."""
        known = self._shown.get(query_id)
        if known is None:
            return None
        shown_index, first_rank, document_ids = known
        if index != shown_index:
            return "index", f"ranking {query_id} was shown by index {shown_index}, not {index}"
        if document_id not in document_ids:
            return "document_id", f"ranking {query_id} did not show document {document_id[:80]!r}"
        actual = first_rank + document_ids.index(document_id)
        if rank is not None and rank != actual:
            return "rank", f"ranking {query_id} showed document {document_id[:80]!r} at rank {actual}, not {rank}"
        return None


class StoredEvents:
    """The ids of the newest `size` interactions in the log, so that one sent again is not stored again.

    Kept as digests of 16 bytes, about 100 bytes each in all. Used on the event loop only.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._digests: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, event_id: str) -> bool:
        return _digest(event_id) in self._digests

    def add(self, event_id: str) -> None:
        """Remember an id, forgetting the oldest where there are too many."""
        digest = _digest(event_id)
        if digest not in self._digests:
            self._digests.add(digest)
            self._order.append(digest)
            if len(self._order) > self._size:
                self._digests.discard(self._order.popleft())


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()
