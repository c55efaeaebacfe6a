"""How often shoppers made each query. Pure.

Queries are counted from the log. Those that were tied to a shopper are sealed there and are never counted; those of
fewer than `MIN_COUNT` rankings are never suggested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from events.types import RankingShown
from searchsvc.analysis.analyzer import folded
from searchsvc.behavior.redaction import REDACTED

MAX_QUERIES: Final = 10_000
MIN_COUNT: Final = 3
MAX_QUERY_CHARS: Final = 100


class QueryCount(msgspec.Struct, array_like=True, gc=False):
    """How often a query was made and found something. text: as it was first typed. key: its words, folded."""

    index: str
    key: str
    text: str
    count: int


class QueryCounts:
    """The most frequent queries of each index. When there are too many, all counts are halved and what is left of the
    rare ones is forgotten, so old fashions fade. Used on the event loop; `matching` on any thread."""

    def __init__(self, counts: Iterable[QueryCount] = (), *, size: int = MAX_QUERIES) -> None:
        self._size = size
        self._counts: dict[str, dict[str, QueryCount]] = {}
        for one in counts:
            self._counts.setdefault(one.index, {})[one.key] = one

    def __iter__(self) -> Iterator[QueryCount]:
        return (one for counts in list(self._counts.values()) for one in list(counts.values()))

    def add(self, ranking: RankingShown) -> None:
        """Count the query of a ranking: the first page of a finished query that found something."""
        text = " ".join(ranking.query.split())
        unfit = ranking.typing or ranking.first_rank > 1 or not ranking.document_ids or REDACTED.search(text)
        if unfit or not 0 < len(text) <= MAX_QUERY_CHARS:
            return
        key = folded(text)
        if not key:
            return
        counts = self._counts.setdefault(ranking.index, {})
        known = counts.get(key)
        if known is not None:
            known.count += 1
            return
        counts[key] = QueryCount(ranking.index, key, text, 1)
        if len(counts) > self._size:
            halved = {k: QueryCount(one.index, k, one.text, one.count // 2) for k, one in counts.items()}
            self._counts[ranking.index] = {k: one for k, one in halved.items() if one.count}

    def matching(self, index: str, typed: str, n: int) -> list[QueryCount]:
        """The n most frequent queries that begin with what was typed, or have a word that does."""
        key = folded(typed)
        if not key:
            return []
        inner = f" {key}"
        counts = list(self._counts.get(index, {}).values())
        found = [one for one in counts if one.count >= MIN_COUNT and (one.key.startswith(key) or inner in one.key)]
        found.sort(key=lambda one: (not one.key.startswith(key), -one.count, one.key))
        return found[:n]
