"""The newest rankings by query id, to check interactions against. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from events.types import RankingShown


class RankingSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What interactions are checked against.

    id: the ranking's query id.
    seq: BEHAVIOR message that holds the ranking; 0 while it is not in the log yet.
    first_rank: rank of the first document.
    document_ids: the documents shown, in order.
    """

    id: str
    seq: int
    index: str
    first_rank: int
    document_ids: tuple[str, ...]


class Contradiction(NamedTuple):
    """Why an interaction cannot belong to the ranking it names.

    field: the member of the interaction that is wrong.
    """

    field: str
    reason: str


class RecentRankings:
    """Summaries of the newest rankings. Used on the event loop only.

    size: how many are kept; past it the oldest is dropped.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._summaries: OrderedDict[str, RankingSummary] = OrderedDict()

    def __len__(self) -> int:
        return len(self._summaries)

    def __contains__(self, query_id: str) -> bool:
        return query_id in self._summaries

    def add(self, ranking: RankingShown, seq: int = 0) -> bool:
        """Keep a ranking and return whether it is new: not here yet, or here without its message until now.

        seq: BEHAVIOR message that holds it; 0 before it is in the log.
        """
        summary = self._summaries.get(ranking.id)
        if summary is not None and (summary.seq or not seq):
            return False
        self._put(RankingSummary(ranking.id, seq, ranking.index, ranking.first_rank, ranking.document_ids))
        return True

    def message_seq(self, query_id: str) -> int:
        """Return the BEHAVIOR message that holds a ranking; 0 if it is not here."""
        summary = self._summaries.get(query_id)
        return summary.seq if summary is not None else 0

    def contradiction(self, query_id: str, index: str, document_id: str, rank: int | None) -> Contradiction | None:
        """Return why an interaction cannot belong to the ranking it names.

        rank: where the document was shown, if the interaction says so.
        Returns None if it can belong to it, or if the ranking is not here.
        """
        summary = self._summaries.get(query_id)
        if summary is None:
            return None
        if index != summary.index:
            return Contradiction("index", f"ranking {query_id} was shown by index {summary.index}, not {index}")
        if document_id not in summary.document_ids:
            return Contradiction("document_id", f"ranking {query_id} did not show document {document_id[:80]!r}")
        shown_rank = summary.first_rank + summary.document_ids.index(document_id)
        if rank is not None and rank != shown_rank:
            reason = f"ranking {query_id} showed document {document_id[:80]!r} at rank {shown_rank}, not {rank}"
            return Contradiction("rank", reason)
        return None

    def logged(self) -> list[RankingSummary]:
        """Return the rankings that are in the log, oldest first."""
        return [summary for summary in self._summaries.values() if summary.seq]

    def restore(self, summaries: Iterable[RankingSummary]) -> None:
        """Add what `logged` returned."""
        for summary in summaries:
            self._put(summary)

    def _put(self, summary: RankingSummary) -> None:
        self._summaries[summary.id] = summary
        if len(self._summaries) > self._size:
            self._summaries.popitem(last=False)
