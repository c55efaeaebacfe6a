"""Clicks over expected clicks: what shoppers do with a document, wherever it was shown, and for a single query. Pure.

Expected is what its ranks earn on the average, times what is earned on the average where somebody asks for the same: so
a document is not held to be better for having stood on top, nor for being found by those who know what they want. Both
decay alike. What is believed of a document is a Gamma distribution around what its families are worth without it, those
that share its brand or its category; to promote it the lower end of that has to be above 1, to demote it the upper one
below, and at least twenty different users have to have seen it. Before that it is believed to be what its families are.
Users fall into eight buckets, and the most generous of them counts no more than the others: no few of them promote
anything.

Of a query and a document the same is known, around what the document is worth to those who ask for something else.

Source: Zhang & Jones, Comparing Click Logs and Editorial Labels for Training Query Rewriting, WWW 2007 workshop (COEC);
the shrinkage is the conjugate one of a Poisson rate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

HALF_LIFE_S: Final = 14 * 86_400.0
# In expected clicks: so much is believed of the average, or of the families, before anything is known.
PRIOR: Final = 5.0
# One in ten is below the lower, one in ten above the upper end.
Z: Final = 1.2816
MIN_USERS: Final = 20
MAX_RANKS: Final = 50
# What a rank earns before anything is known of it: a click in five on the first, less further down.
FIRST_RATE: Final = 0.2
RATE_PRIOR: Final = 20.0
# Users fall into so many buckets, and no document is promoted for what one of them did.
N_BUCKETS: Final = 8
MAX_DOCUMENTS: Final = 200_000
MAX_PAIRS: Final = 200_000
MAX_QUERIES: Final = 50_000
MAX_FAMILIES: Final = 20_000

# So many are packed at a time: who packs holds everybody else up.
PACKED_AT_ONCE: Final = 2000

K = TypeVar("K", bound=Hashable)


class UserQuery(NamedTuple):
    """What a search asked for: the same words for all who ask the same. who: the user, as a number that is another one
    for each query and that nobody can find again without the user's key."""

    words: str
    who: int


class Behavior(msgspec.Struct, array_like=True):
    """What was done, and what was to be expected. clicks, expected: as of `at_s`, in seconds since 1970; in values of
    interactions. users: the first twenty different ones who were there. families: of a document, what it belongs to;
    None where that is not known yet. buckets: of the clicks, what each bucket of users gave; none before there are
    any."""

    clicks: float = 0.0
    expected: float = 0.0
    at_s: float = 0.0
    users: list[int] = msgspec.field(default_factory=list)
    families: tuple[str, ...] | None = None
    buckets: list[float] = msgspec.field(default_factory=list)

    def decay(self, at_s: float) -> None:
        if at_s > self.at_s:
            kept = 2.0 ** -((at_s - self.at_s) / HALF_LIFE_S) if self.at_s else 1.0
            self.clicks *= kept
            self.expected *= kept
            self.buckets = [kept * one for one in self.buckets]
            self.at_s = at_s

    def expect(self, rate: float, user: int, at_s: float) -> None:
        """Somebody was shown it where so much is earned on the average."""
        self.decay(at_s)
        self.expected += rate * self._worth(at_s)
        self._meet(user)

    def earn(self, value: float, user: int, at_s: float) -> None:
        """Below 0 it was looked at and not liked: more was to be expected of it, then."""
        self.decay(at_s)
        worth = value * self._worth(at_s)
        if worth < 0.0:
            self.expected -= worth
            return
        self.clicks += worth
        self.buckets = self.buckets or [0.0] * N_BUCKETS
        self.buckets[user % N_BUCKETS] += worth

    @property
    def is_known(self) -> bool:
        """Whether enough people were there for it to count."""
        return len(self.users) >= MIN_USERS

    def mean(self, prior: float = 1.0) -> float:
        """What is believed of it, as a multiple of the average. prior: what is believed before it is known."""
        if not self.is_known:
            return prior
        rate = self.expected + PRIOR
        known = (self.clicks + PRIOR * prior) / rate
        return max(prior, (self.trimmed + PRIOR * prior) / rate) if known > prior else known

    def bounds(self, prior: float = 1.0) -> tuple[float, float]:
        """The lower and the upper end of that."""
        rate = self.expected + PRIOR
        lower = _gamma_quantile(self.trimmed + PRIOR * prior, -Z)
        return lower / rate, _gamma_quantile(self.clicks + PRIOR * prior, Z) / rate

    @property
    def trimmed(self) -> float:
        """The clicks, had the most generous bucket of users given what the others gave on the average."""
        return (self.clicks - max(self.buckets, default=0.0)) * N_BUCKETS / (N_BUCKETS - 1)

    def factor(self, most: float, prior: float = 1.0) -> float:
        """What its score is to be multiplied by, within [1 / most, most]."""
        if not self.is_known:
            return 1.0
        lower, upper = self.bounds(prior)
        return min(lower, most) if lower > 1.0 else max(upper, 1.0 / most) if upper < 1.0 else 1.0

    def add(self, part: Behavior) -> None:
        """What is known of a part of it."""
        self.decay(part.at_s)
        worth = self._worth(part.at_s)
        self.clicks += worth * part.clicks
        self.expected += worth * part.expected
        if part.buckets:
            pairs = zip(self.buckets or [0.0] * N_BUCKETS, part.buckets, strict=True)
            self.buckets = [mine + worth * its for mine, its in pairs]
        for user in part.users:
            self._meet(user)

    def without(self, part: Behavior) -> Behavior:
        """What there is beside a part of it. Both as of the same time."""
        clicks = max(self.clicks - part.clicks, 0.0)
        kept = clicks / self.clicks if self.clicks else 0.0
        # Who gave that is another number there, so each bucket loses its share.
        buckets = [kept * one for one in self.buckets]
        expected = max(self.expected - part.expected, 0.0)
        return Behavior(clicks, expected, self.at_s, self.users, self.families, buckets)

    def _meet(self, user: int) -> None:
        if len(self.users) < MIN_USERS and user not in self.users:
            self.users.append(user)

    def _worth(self, at_s: float) -> float:
        """Of something that comes late."""
        return float(2.0 ** -(max(self.at_s - at_s, 0.0) / HALF_LIFE_S))


class Tally(Generic[K]):
    """The behaviour of many, at most so many: who was not seen for longest is forgotten first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.held: dict[K, Behavior] = {}

    def of(self, key: K) -> Behavior:
        """To be added to."""
        one = self.held.pop(key, None)
        if one is None:
            one = Behavior()
            if len(self.held) >= self._size:
                del self.held[next(iter(self.held))]
        self.held[key] = one
        return one

    def get(self, key: K, at_s: float) -> Behavior:
        """As it is at a time; of nobody, where it is not known."""
        one = self.held.get(key) or Behavior()
        one.decay(at_s)
        return one

    def packed(self) -> list[bytes]:
        """All, in slices."""
        held = iter(list(self.held.items()))
        return [msgspec.msgpack.encode(some) for some in iter(lambda: dict(islice(held, PACKED_AT_ONCE)), {})]


class Coec:
    """All of an index. Time is an argument, and may go back: a late event counts what it is worth by now.

    secret: what is held of queries are hashes, which say nothing without it.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self.documents: Tally[str] = Tally(MAX_DOCUMENTS)
        self.families: Tally[str] = Tally(MAX_FAMILIES)
        self.queries: Tally[bytes] = Tally(MAX_QUERIES)
        self.pairs: Tally[bytes] = Tally(MAX_PAIRS)
        self._shown = np.zeros(MAX_RANKS)
        self._earned = np.zeros(MAX_RANKS)

    def strangers(self, document_ids: Sequence[str]) -> list[str]:
        """Those of which it is not known what they belong to: `introduce` says so."""
        held = self.documents.held
        return [one for one in document_ids if one not in held or held[one].families is None]

    def introduce(self, document_id: str, families: Iterable[str]) -> None:
        """A document belongs to some families; what is known of it is of them, too."""
        one = self.documents.of(document_id)
        if one.families is None:
            one.families = tuple(families)
            for family in one.families:
                self.families.of(family).add(one)

    def show(
        self, document_ids: Sequence[str], first_rank: int, user: int, at_s: float, asked: UserQuery | None = None
    ) -> None:
        """Some documents were shown to somebody. asked: None where that is not known; then nothing is learnt of it."""
        query = self.queries.of(self._key(asked.words)) if asked is not None else None
        for rank, document_id in enumerate(document_ids, first_rank):
            if rank > MAX_RANKS:
                break
            rate = self.rate(rank)
            self._shown[rank - 1] += 1.0
            # Where everybody clicks, nobody is better for it.
            usual = rate * query.mean() if query is not None else rate
            one = self.documents.of(document_id)
            one.expect(usual, user, at_s)
            for family in one.families or ():
                self.families.of(family).expect(usual, user, at_s)
            if asked is not None and query is not None:
                self.pairs.of(self._key(asked.words, document_id)).expect(usual, asked.who, at_s)
                query.expect(rate, asked.who, at_s)

    def earn(
        self, document_id: str, rank: int, value: float, user: int, at_s: float, asked: UserQuery | None = None
    ) -> None:
        """Somebody did something with a document that was shown at a rank. value: in clicks; below 0 where they said
        that it does not belong there."""
        if rank <= MAX_RANKS:
            self._earned[rank - 1] += max(value, 0.0)
        one = self.documents.of(document_id)
        one.earn(value, user, at_s)
        for family in one.families or ():
            self.families.of(family).earn(value, user, at_s)
        if asked is not None:
            self.queries.of(self._key(asked.words)).earn(value, asked.who, at_s)
            self.pairs.of(self._key(asked.words, document_id)).earn(value, asked.who, at_s)

    def rate(self, rank: int) -> float:
        """What a rank earns on the average, each time something is shown there."""
        at = min(rank, MAX_RANKS) - 1
        return float((self._earned[at] + RATE_PRIOR * FIRST_RATE / rank) / (self._shown[at] + RATE_PRIOR))

    def of_document(self, document_id: str, at_s: float) -> tuple[Behavior, float]:
        """What is known of a document, and what is believed of its families without it."""
        one = self.documents.get(document_id, at_s)
        means = [self.families.get(family, at_s).without(one).mean() for family in one.families or ()]
        return one, math.exp(sum(map(math.log, means)) / len(means)) if means else 1.0

    def of_pair(self, words: str, document_id: str, at_s: float) -> tuple[Behavior, float]:
        """What is known of a document where somebody asks for something, and what is believed of it elsewhere."""
        pair = self.pairs.get(self._key(words, document_id), at_s)
        document, prior = self.of_document(document_id, at_s)
        return pair, document.without(pair).mean(prior)

    def knows_pair(self, words: str, document_id: str) -> bool:
        pair = self.pairs.held.get(self._key(words, document_id))
        return pair is not None and pair.is_known

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """What `restore` takes, by name."""
        for name in _TALLIES:
            for at, packed in enumerate(getattr(self, name).packed()):
                yield f"{name}.{at}", packed
        yield "rates", msgspec.msgpack.encode((self._shown.tolist(), self._earned.tolist()))

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Raises KeyError or msgspec.DecodeError where they are none."""
        shown, earned = msgspec.msgpack.decode(parts["rates"], type=tuple[list[float], list[float]])
        self._shown, self._earned = np.array(shown), np.array(earned)
        for name, kind in _TALLIES.items():
            held = getattr(self, name).held
            n = sum(one.startswith(f"{name}.") for one in parts)
            for at in range(n):
                held.update(msgspec.msgpack.decode(parts[f"{name}.{at}"], type=dict[kind, Behavior]))  # type: ignore[valid-type]

    def _key(self, *parts: str) -> bytes:
        return hashed(*parts, secret=self._secret)


_TALLIES: Final = {"documents": str, "families": str, "queries": bytes, "pairs": bytes}


def hashed(*parts: str, secret: bytes = b"") -> bytes:
    """Something in twelve bytes: what a snapshot holds of shoppers says nothing by itself."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12, key=secret).digest()


def _gamma_quantile(shape: float, z: float) -> float:
    """Of a Gamma distribution of rate 1. Source: Wilson & Hilferty 1931: the cube root is nearly normal."""
    return shape * max(1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape)), 0.0) ** 3
