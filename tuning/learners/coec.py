"""Behavior statistics of all documents of an index, over all queries and by query. Pure.

The expected clicks of an impression are those that its rank gets on average, times the mean of its query. So a document
is not better for being shown on top, nor for being found by users who know what they want.

The prior mean of a document is the mean of its families, such as its brand and its category, without the document
itself. The prior mean of a document under a query is what the document is worth under other queries.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

from tuning.learners.behavior import BehaviorStatistics

MAX_RANKS: Final = 50
# Expected clicks of the first rank before there is data; rank r has 1 / r of it.
FIRST_RATE: Final = 0.2
# Weight of that, in impressions.
RATE_PRIOR: Final = 20.0
MAX_DOCUMENTS: Final = 200_000
MAX_PAIRS: Final = 200_000
MAX_QUERIES: Final = 50_000
MAX_FAMILIES: Final = 20_000
# Packing holds the interpreter's lock, so each call packs only so many.
PACKED_AT_ONCE: Final = 2000

K = TypeVar("K", bound=Hashable)


class UserQuery(NamedTuple):
    """A query by a user.

    words: the query's words, normalized: equal for equal queries.
    user: a number for the user that differs from query to query, and that cannot be derived without the user's key.
    """

    words: str
    user: int


class Tally(Generic[K]):
    """Statistics of many subjects; past its size, the one that was used least recently is dropped.

    size: limit on the subjects.
    subjects: by key, the least recently used first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.subjects: dict[K, BehaviorStatistics] = {}

    def use(self, key: K) -> BehaviorStatistics:
        """Return the statistics of a subject to add to, and count it as used; creates them where missing."""
        statistics = self.subjects.pop(key, None)
        if statistics is None:
            statistics = BehaviorStatistics()
            if len(self.subjects) >= self._size:
                del self.subjects[next(iter(self.subjects))]
        self.subjects[key] = statistics
        return statistics

    def as_of(self, key: K, timestamp_s: float) -> BehaviorStatistics:
        """Return the statistics of a subject, decayed to a time; empty ones if it is missing."""
        statistics = self.subjects.get(key) or BehaviorStatistics()
        statistics.decay(timestamp_s)
        return statistics

    def packed(self) -> list[bytes]:
        """Return all subjects, packed in slices."""
        items = iter(list(self.subjects.items()))
        return [msgspec.msgpack.encode(part) for part in iter(lambda: dict(islice(items, PACKED_AT_ONCE)), {})]


class Coec:
    """The statistics of one index. Times are arguments and may go back: a late event counts its value decayed to now.

    secret: key of the hashes of queries; without it they do not tell the query.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self.documents: Tally[str] = Tally(MAX_DOCUMENTS)
        self.families: Tally[str] = Tally(MAX_FAMILIES)
        self.queries: Tally[bytes] = Tally(MAX_QUERIES)
        self.pairs: Tally[bytes] = Tally(MAX_PAIRS)
        # By rank: impressions, and clicks.
        self._impressions = np.zeros(MAX_RANKS)
        self._clicks = np.zeros(MAX_RANKS)

    def unseen_documents(self, document_ids: Sequence[str]) -> list[str]:
        """Return the documents that are not registered with their families yet."""
        subjects = self.documents.subjects
        return [name for name in document_ids if name not in subjects or subjects[name].families is None]

    def register(self, document_id: str, families: Iterable[str]) -> None:
        """Set the families of a document, once; they get the statistics that it has so far."""
        document = self.documents.use(document_id)
        if document.families is None:
            document.families = tuple(families)
            for family in document.families:
                self.families.use(family).add(document)

    def observe_ranking(
        self,
        document_ids: Sequence[str],
        first_rank: int,
        user: int,
        timestamp_s: float,
        query: UserQuery | None = None,
    ) -> None:
        """Count the impressions of a ranking.

        first_rank: rank of the first document; ranks past `MAX_RANKS` do not count.
        query: None if the query is unknown; nothing is learnt about it then.
        """
        searches = self.queries.use(self._key(query.words)) if query is not None else None
        for rank, document_id in enumerate(document_ids, first_rank):
            if rank > MAX_RANKS:
                break
            rate = self.rate(rank)
            self._impressions[rank - 1] += 1.0
            # On a query whose users click more than average, each document is expected to get more clicks.
            expected = rate * searches.mean() if searches is not None else rate
            document = self.documents.use(document_id)
            document.observe_impression(expected, user, timestamp_s)
            for family in document.families or ():
                self.families.use(family).observe_impression(expected, user, timestamp_s)
            if query is not None and searches is not None:
                pair = self.pairs.use(self._key(query.words, document_id))
                pair.observe_impression(expected, query.user, timestamp_s)
                searches.observe_impression(rate, query.user, timestamp_s)

    def observe_value(
        self,
        document_id: str,
        rank: int,
        value: float,
        user: int,
        timestamp_s: float,
        query: UserQuery | None = None,
    ) -> None:
        """Count an interaction with a document at a rank.

        value: in clicks; below 0 for a dislike.
        query: as in `observe_ranking`.
        """
        if rank <= MAX_RANKS:
            self._clicks[rank - 1] += max(value, 0.0)
        document = self.documents.use(document_id)
        document.observe_value(value, user, timestamp_s)
        for family in document.families or ():
            self.families.use(family).observe_value(value, user, timestamp_s)
        if query is not None:
            self.queries.use(self._key(query.words)).observe_value(value, query.user, timestamp_s)
            self.pairs.use(self._key(query.words, document_id)).observe_value(value, query.user, timestamp_s)

    def rate(self, rank: int) -> float:
        """Return the clicks that an impression at a rank gets on average."""
        position = min(rank, MAX_RANKS) - 1
        prior = RATE_PRIOR * FIRST_RATE / rank
        return float((self._clicks[position] + prior) / (self._impressions[position] + RATE_PRIOR))

    def document(self, document_id: str, timestamp_s: float) -> tuple[BehaviorStatistics, float]:
        """Return the statistics of a document, and its prior mean: the geometric mean of its families without it."""
        document = self.documents.as_of(document_id, timestamp_s)
        families = (self.families.as_of(family, timestamp_s) for family in document.families or ())
        means = [family.without(document).mean() for family in families]
        return document, math.exp(sum(map(math.log, means)) / len(means)) if means else 1.0

    def pair(self, words: str, document_id: str, timestamp_s: float) -> tuple[BehaviorStatistics, float]:
        """Return the statistics of a document under a query, and the prior mean: its mean under other queries."""
        pair = self.pairs.as_of(self._key(words, document_id), timestamp_s)
        document, prior = self.document(document_id, timestamp_s)
        return pair, document.without(pair).mean(prior)

    def has_pair(self, words: str, document_id: str) -> bool:
        """Return whether enough users saw a document under a query."""
        pair = self.pairs.subjects.get(self._key(words, document_id))
        return pair is not None and pair.has_enough_users

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield the state that `restore` takes, by name."""
        for name in _TALLIES:
            for i, packed in enumerate(getattr(self, name).packed()):
                yield f"{name}.{i}", packed
        yield "rates", msgspec.msgpack.encode((self._impressions.tolist(), self._clicks.tolist()))

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`. Raises KeyError or msgspec.DecodeError if they are malformed."""
        impressions, clicks = msgspec.msgpack.decode(parts["rates"], type=tuple[list[float], list[float]])
        self._impressions, self._clicks = np.array(impressions), np.array(clicks)
        for name, key_type in _TALLIES.items():
            subjects = getattr(self, name).subjects
            n = sum(part.startswith(f"{name}.") for part in parts)
            for i in range(n):
                subjects.update(msgspec.msgpack.decode(parts[f"{name}.{i}"], type=dict[key_type, BehaviorStatistics]))  # type: ignore[valid-type]

    def _key(self, *parts: str) -> bytes:
        return hashed(*parts, secret=self._secret)


_TALLIES: Final = {"documents": str, "families": str, "queries": bytes, "pairs": bytes}


def hashed(*parts: str, secret: bytes = b"") -> bytes:
    """Return a twelve-byte hash of strings, so that a snapshot does not hold them."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12, key=secret).digest()
