"""How often shoppers made each query, for suggestions. Pure.

Queries are counted from the log. Queries tied to a shopper are sealed there and are never counted; those of fewer than
`MIN_COUNT` rankings are never suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from events.types import RankingShown
from searchsvc.analysis.analyzer import normalized
from searchsvc.analysis.query_syntax import read_query
from searchsvc.behavior.redaction import REDACTED

MAX_QUERIES: Final = 10_000
MIN_COUNT: Final = 5
MAX_QUERY_CHARS: Final = 100


class QueryCount(msgspec.Struct, array_like=True, gc=False):
    """One query and its count.

    key: the query's words, folded.
    text: the query as it was first typed.
    count: rankings of this query that showed documents.
    """

    index: str
    key: str
    text: str
    count: int


class QueryCounts:
    """The most frequent queries of each index.

    When an index has more than `size` queries, all its counts are halved and zeros dropped, so that old queries fade.
    `add` is for the event loop; `matching` is for any thread.

    counts: counts to start from.
    size: queries to keep for each index.
    """

    def __init__(self, counts: Iterable[QueryCount] = (), *, size: int = MAX_QUERIES) -> None:
        self._size = size
        self._counts: dict[str, dict[str, QueryCount]] = {}
        for query in counts:
            self._counts.setdefault(query.index, {})[query.key] = query

    def __iter__(self) -> Iterator[QueryCount]:
        return (query for counts in list(self._counts.values()) for query in list(counts.values()))

    def add(self, ranking: RankingShown) -> None:
        """Count the query of a ranking, if it is complete, without signs, and its first page shows something."""
        text = " ".join(ranking.query.split())
        excluded = ranking.typing or ranking.first_rank > 1 or not ranking.document_ids or REDACTED.search(text)
        if excluded or not 0 < len(text) <= MAX_QUERY_CHARS or read_query(text).has_signs:
            return
        key = normalized(text)
        if not key:
            return
        counts = self._counts.setdefault(ranking.index, {})
        query = counts.get(key)
        if query is not None:
            query.count += 1
            return
        counts[key] = QueryCount(ranking.index, key, text, 1)
        if len(counts) > self._size:
            halved = {key: QueryCount(q.index, key, q.text, q.count // 2) for key, q in counts.items()}
            self._counts[ranking.index] = {key: query for key, query in halved.items() if query.count}

    def matching(
        self, index: str, prefix: str, n: int, accept: Callable[[QueryCount], bool] = lambda query: True
    ) -> list[QueryCount]:
        """Return the n most frequent queries with a word that begins with `prefix`.

        Those that begin with it as a whole come first.

        accept: whether a query may be among them.
        """
        key = normalized(prefix)
        if not key:
            return []
        inner = f" {key}"
        counts = list(self._counts.get(index, {}).values())
        matches = [
            query for query in counts if query.count >= MIN_COUNT and (query.key.startswith(key) or inner in query.key)
        ]
        matches.sort(key=lambda query: (not query.key.startswith(key), -query.count, query.key))
        return list(islice(filter(accept, matches), n))
