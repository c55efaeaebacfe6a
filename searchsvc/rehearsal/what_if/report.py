"""The request for a what-if, and its report. Pure data."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from events.errors import require
from tuning.clicks.offpolicy import Estimate, NoEstimate

MAX_DAYS: Final = 90
MAX_QUERIES: Final = 1000
MAX_JUDGED: Final = 1000
MAX_GRADE: Final = 10


class WhatIfInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to repeat.

    days: how far back to read rankings
    max_queries: number of the most frequent searches to repeat
    judgments: by query, grades of documents by id, from 0
    """

    days: float = 7.0
    max_queries: int = 200
    judgments: dict[str, dict[str, int]] = {}

    def check(self) -> None:
        """Raise InvalidInput naming the first member that is out of its limits."""
        require(0 < self.days <= MAX_DAYS, "days", self.days, f"above 0, at most {MAX_DAYS}")
        require(0 <= self.max_queries <= MAX_QUERIES, "max_queries", self.max_queries, f"0 to {MAX_QUERIES}")
        n_judged = len(self.judgments)
        require(n_judged <= MAX_JUDGED, "judgments", n_judged, f"at most {MAX_JUDGED} queries")
        for query, grades in self.judgments.items():
            for document_id, grade in grades.items():
                field = f"judgments.{query[:80]}.{document_id[:80]}"
                require(0 <= grade <= MAX_GRADE, field, grade, f"0 to {MAX_GRADE}")


class DocumentMoved(msgspec.Struct, frozen=True):
    """A document whose exposure changes, over all searches.

    exposure_change: exposure that it gains per search, negative if it loses; rank 1 has exposure 1
    n_searches: searches in which its exposure changes
    """

    id: str
    exposure_change: float
    n_searches: int


class QueryChanged(msgspec.Struct, frozen=True):
    """A search whose first page changes.

    request: the other members of the search that were not at their defaults
    n: how often it was made
    overlap: share of the first ten hits that stay
    top_changed: whether the first three hits are others, or in another order
    before: ids of the first ten hits without the draft
    after: ids of the first ten hits with it
    """

    query: str
    request: dict[str, Any]
    n: int
    overlap: float
    top_changed: bool
    before: list[str]
    after: list[str]


class QueryNdcg(msgspec.Struct, frozen=True):
    """nDCG@10 of a judged query without and with the draft."""

    query: str
    before: float
    after: float


class NdcgChange(msgspec.Struct, frozen=True):
    """Mean nDCG@10 of n judged queries, and the queries that gain and lose most."""

    n: int
    before: float
    after: float
    winners: list[QueryNdcg]
    losers: list[QueryNdcg]


class WhatIfReport(msgspec.Struct, frozen=True):
    """What a draft would do to logged searches. Means count each search as often as it was made.

    since: of the oldest ranking that was read
    until: of the newest
    n_rankings: first pages of finished searches
    n_sealed: those of them whose query can no longer be read
    n_queries: distinct searches that were repeated
    coverage: share of all readable searches that these stand for
    overlap: mean share of the first ten hits that stay
    top_changed: share of searches whose first three hits are others, or in another order
    winners: documents that gain most exposure
    losers: documents that lose most exposure
    most_changed: searches that change most
    expected: by kind of interaction, the change per search with a 95 % interval, or why there is no estimate
    ndcg: of the judged queries; None if there are none
    """

    since: datetime | None
    until: datetime | None
    n_rankings: int
    n_sealed: int
    n_queries: int
    coverage: float
    overlap: float
    top_changed: float
    winners: list[DocumentMoved]
    losers: list[DocumentMoved]
    most_changed: list[QueryChanged]
    expected: dict[str, Estimate | NoEstimate]
    ndcg: NdcgChange | None


class WhatIfStatus(msgspec.Struct):
    """Progress of a what-if.

    version: of the draft
    n_done: searches repeated so far, out of `n_queries`
    seconds: how long it took
    report: once it is done
    error: why it failed; '' if it did not
    """

    index: str
    draft: str
    version: int
    phase: Literal["waiting", "reading", "searching", "done", "failed"]
    started_at: datetime
    n_done: int = 0
    n_queries: int = 0
    seconds: float = 0.0
    report: WhatIfReport | None = None
    error: str = ""
