"""What a search is asked and what it answers."""

from __future__ import annotations

from typing import Final

import msgspec

from events.errors import require
from events.types import RankingShown

MAX_QUERY_CHARS: Final = 512
MAX_WINDOW: Final = 1000
MAX_TOKEN_CHARS: Final = 129


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search. An empty query browses: all documents, by signals.

    min_seq: wait (bounded) until this CONTROL sequence is applied, to read one's own write. min_catalog_seq: the same
    for documents. user_token: a pseudonym of the shopper.
    """

    query: str = ""
    limit: int = 10
    offset: int = 0
    explain: bool = False
    user_token: str = ""
    min_seq: int = 0
    min_catalog_seq: int = 0

    def check(self) -> None:
        """Raise InvalidInput naming the first member out of its limits."""
        require(len(self.query) <= MAX_QUERY_CHARS, "query", self.query, f"at most {MAX_QUERY_CHARS} characters")
        require(0 <= self.limit <= MAX_WINDOW, "limit", self.limit, f"0 to {MAX_WINDOW}")
        require(0 <= self.offset <= MAX_WINDOW, "offset", self.offset, f"0 to {MAX_WINDOW}")
        window = self.offset + self.limit
        require(window <= MAX_WINDOW, "offset", self.offset, f"offset + limit at most {MAX_WINDOW}, here {window}")
        tokens = f"at most {MAX_TOKEN_CHARS} characters"
        require(len(self.user_token) <= MAX_TOKEN_CHARS, "user_token", self.user_token, tokens)
        require(self.min_seq >= 0, "min_seq", self.min_seq, "0 or more")
        require(self.min_catalog_seq >= 0, "min_catalog_seq", self.min_catalog_seq, "0 or more")


class FeatureShare(msgspec.Struct, frozen=True):
    """What one feature adds to a score: contribution = value * weight."""

    value: float
    weight: float
    contribution: float


class Explanation(msgspec.Struct, frozen=True):
    """Why a hit stands where it stands. The contributions add up to the score. Ranks are None where a leg missed it."""

    features: dict[str, FeatureShare]
    keyword_rank: int | None
    vector_rank: int | None


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One document of the answer. rank: 1-based over all pages."""

    id: str
    rank: int
    score: float
    document: msgspec.Raw
    explanation: Explanation | None = None


class SearchAnswer(msgspec.Struct, frozen=True):
    """total: documents that match the query's words or are among the nearest vectors. took_ms: inside the service, from
    the request to the hits.

    config_version: CONTROL sequence of the index's last change. applied_seq, applied_catalog_seq: what was applied.
    degraded: parts that were missing: `vector` where the encoder failed or was late.
    """

    query_id: str
    index: str
    hits: list[Hit]
    total: int
    took_ms: float
    applied_seq: int
    config_version: int
    weights_version: int
    applied_catalog_seq: int
    applied_rules: list[str]
    experiment: str | None
    degraded: list[str]


class Timings(msgspec.Struct):
    """Milliseconds by stage, in order."""

    queue: float = 0.0
    analyse: float = 0.0
    keyword: float = 0.0
    encode: float = 0.0
    vector: float = 0.0
    fuse: float = 0.0
    rank: float = 0.0
    hits: float = 0.0


class SearchOutcome(msgspec.Struct, frozen=True):
    answer: SearchAnswer
    shown: RankingShown
    timings: Timings
