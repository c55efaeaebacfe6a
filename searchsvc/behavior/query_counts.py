"""How often shoppers made each query, and how many of them, for suggestions. Pure.

A query is suggested once `MIN_USERS` users made it. What only users with a token made is a keyed hash until then. Users
without a token cannot be told apart, so all of them count as one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

import msgspec

from events.errors import Corrupt
from events.types import RankingShown
from searchsvc.analysis.analyzer import normalized
from searchsvc.analysis.query_syntax import read_query
from searchsvc.behavior.redaction import is_personal

MAX_QUERIES: Final = 10_000
MIN_USERS: Final = 5
MAX_QUERY_CHARS: Final = 100


class RankingReader(Protocol):
    """Reads queries that are sealed, and hashes them."""

    def opened(self, ranking: RankingShown) -> RankingShown | None:
        """Return a ranking with its query readable, or None if nobody can read it any more. Raises Corrupt."""
        ...

    def query_hash(self, words: str) -> str:
        """Return a hash that is the same for the same words, and tells nothing about them without a secret."""
        ...


class QueryCount(msgspec.Struct, array_like=True, gc=False):
    """One query and who made it.

    hashed: keyed hash of its words.
    count: rankings of this query that showed documents.
    users: pseudonyms of the first who made it, at most `MIN_USERS`; '' stands for all who are not named.
    key: its words, folded; '' as long as only users with a token made it, and too few.
    text: the query as it was typed; '' like `key`.
    """

    index: str
    hashed: str
    count: int = 0
    users: list[str] = []
    key: str = ""
    text: str = ""

    @property
    def is_common(self) -> bool:
        """Whether enough users made it to show it to others."""
        return len(self.users) >= MIN_USERS


class QueryCounts:
    """The most frequent queries of each index.

    When an index has more than `size` queries, all its counts are halved and zeros dropped, so that old queries fade.
    `add` is for the event loop; `matching` is for any thread.

    reader: None counts only queries that are not sealed.
    size: queries to keep for each index.
    """

    def __init__(self, reader: RankingReader | None = None, *, size: int = MAX_QUERIES) -> None:
        self._reader = reader or _PlainReader()
        self._size = size
        # By index and hash.
        self._counts: dict[str, dict[str, QueryCount]] = {}

    def __iter__(self) -> Iterator[QueryCount]:
        return (query for counts in list(self._counts.values()) for query in list(counts.values()))

    def restore(self, counts: Iterable[QueryCount]) -> None:
        """Start from these counts."""
        self._counts = {}
        for query in counts:
            if is_personal(query.text):
                continue
            self._counts.setdefault(query.index, {})[query.hashed] = query

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget the queries of all indexes but these."""
        self._counts = {name: counts for name, counts in self._counts.items() if name in indexes}

    def add(self, ranking: RankingShown) -> None:
        """Count the query of a ranking, if it is complete, without signs, and its first page shows something."""
        text = "" if ranking.typing else " ".join(self._query(ranking).split())
        # Also what was logged when less was replaced.
        excluded = ranking.first_rank > 1 or not ranking.document_ids or is_personal(text)
        if excluded or not 0 < len(text) <= MAX_QUERY_CHARS or read_query(text).has_signs:
            return
        key = normalized(text)
        if not key:
            return
        hashed, counts = self._reader.query_hash(key), self._counts.setdefault(ranking.index, {})
        query = counts.setdefault(hashed, QueryCount(ranking.index, hashed))
        query.count += 1
        if not query.is_common and ranking.user not in query.users:
            query.users.append(ranking.user)
        if not query.text and (query.is_common or not ranking.user):
            query.key, query.text = key, text
        if len(counts) > self._size:
            halved = {name: msgspec.structs.replace(query, count=query.count // 2) for name, query in counts.items()}
            self._counts[ranking.index] = {name: query for name, query in halved.items() if query.count}

    def _query(self, ranking: RankingShown) -> str:
        """Return the query of a ranking, '' if nobody can read it any more."""
        try:
            opened = self._reader.opened(ranking)
        except Corrupt:
            return ""
        return opened.query if opened is not None else ""

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
        matches = [query for query in counts if query.is_common and (query.key.startswith(key) or inner in query.key)]
        matches.sort(key=lambda query: (not query.key.startswith(key), -query.count, query.key))
        return list(islice(filter(accept, matches), n))


class _PlainReader:
    """Reads what is not sealed. Its hash is the words themselves."""

    def opened(self, ranking: RankingShown) -> RankingShown | None:
        return None if ranking.sealed_query else ranking

    def query_hash(self, words: str) -> str:
        return words
