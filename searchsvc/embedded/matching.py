"""Keyword retrieval: which documents match a query, and which of them best.

A document matches when it holds every term that is not a stop word; terms that no document holds are left out. Where
that would not fill a first page, any term is enough. All that match are known, not only the best, because totals,
facets and sorting are over all of them. Scores are BM25 per field times the field's boost, as in `forward`.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from searchsvc.arrays import AnyArray, BoolArray, ScoreArray
from searchsvc.embedded.forward import K1, B, ForwardView, QueryStatistics
from searchsvc.embedded.postings import Entries, PostingsView, joined
from searchsvc.query import AskedOperator, Operator, Query

# Below this many slots it is cheaper to add up scores for all of them than to number those that match.
DENSE_BELOW: Final = 100_000
# Of a smaller share of all that match, entries of others are dropped before anything is worked out from them.
FEW_SHARE: Final = 0.25
# Where fewer documents than a first page hold all terms, those that hold some follow them.
FEW: Final = 10


class Matched(msgspec.Struct, frozen=True):
    """mask: (n_slots,). slots: (n,) ascending, all that match. operator: what a document had to hold."""

    mask: BoolArray
    slots: AnyArray
    operator: Operator


class Matching:
    """A query against one snapshot's postings: each term is looked up once, whatever is asked of it after that.

    statistics: of the query. n_slots: of the snapshot. left_out: places of the required terms that no document holds.
    """

    def __init__(
        self, postings: PostingsView, forward: ForwardView, query: Query, statistics: QueryStatistics, n_slots: int
    ) -> None:
        self._statistics = statistics
        self._average_lengths = forward.average_lengths
        self._n_slots = n_slots
        known = statistics.known.tolist()
        required = [place for place in query.required if known[place]]
        self.left_out = tuple(place for place in query.required if not known[place])
        self._found, parts = _look_up(postings, forward, query)
        self._masks = {place: np.zeros(n_slots, np.bool_) for place in required}
        for place, slots in parts:
            if place in self._masks:
                self._masks[place][slots] = True

    def within(self, allowed: BoolArray, operator: AskedOperator) -> Matched:
        """The documents that match. allowed: (n_slots,) live and within the filters."""
        masks = list(self._masks.values())
        if not masks:
            return Matched(np.zeros(self._n_slots, np.bool_), np.empty(0, np.int64), "any" if self.left_out else "all")
        every = np.logical_and.reduce([*masks, allowed])
        slots = np.flatnonzero(every)
        if operator == "all" or (operator == "auto" and len(slots) >= FEW):
            return Matched(every, slots, "all")
        some = np.logical_or.reduce(masks) & allowed
        slots_of_some = np.flatnonzero(some)
        if operator == "any" or len(slots_of_some) > len(slots):
            return Matched(some, slots_of_some, "any")
        return Matched(every, slots, "all")

    def scores(self, matched: Matched, boosts: ScoreArray) -> ScoreArray:
        """(n,) BM25 of each slot that matches, fields added up by their boosts. boosts: (n_fields,), 0 or more."""
        found, slots, n_slots = self._found, matched.slots, self._n_slots
        ceiling = self._statistics.ceiling
        if ceiling <= 0.0 or not len(slots):
            return np.zeros(len(slots))
        sparse = n_slots > DENSE_BELOW
        if sparse or len(slots) < FEW_SHARE * n_slots:
            found = found.where(matched.mask[found.entries.slots])
        entries, frequencies = found.entries, found.frequencies
        slope = (K1 * B / np.maximum(self._average_lengths, 1e-9)).astype(np.float32)
        factors = (self._statistics.idf * boosts * ((K1 + 1.0) / ceiling)).astype(np.float32)
        norm = slope[entries.fields] * entries.lengths + np.float32(K1 * (1.0 - B))
        factor = factors.ravel()[found.places * factors.shape[1] + entries.fields]
        earned = factor * frequencies / (frequencies + norm)
        if sparse:
            number = np.empty(n_slots, np.int32)
            number[slots] = np.arange(len(slots), dtype=np.int32)
            return _sums(number[entries.slots], earned, len(slots))
        return _sums(entries.slots, earned, n_slots)[slots]


class _Found(msgspec.Struct, frozen=True):
    """Where the terms of a query are: one entry a term, slot and field. places: (n,) of the term in the query.
    frequencies: (n,) of all its alternatives together, each by its weight."""

    entries: Entries
    places: AnyArray
    frequencies: AnyArray

    def where(self, kept: AnyArray) -> _Found:
        """kept: a mask or positions."""
        return _Found(self.entries.where(kept), self.places[kept], self.frequencies[kept])


def _look_up(postings: PostingsView, forward: ForwardView, query: Query) -> tuple[_Found, list[tuple[int, AnyArray]]]:
    """What the postings hold of a query, and (place, slots) of each part of it."""
    meanings = forward.lexicon.meanings(query)
    places, weights = [one.place for one in meanings], [one.weight for one in meanings]
    parts = postings.of([one.term for one in meanings])
    which = np.repeat(np.array([i for i, _ in parts], np.int64), [len(part) for _, part in parts])
    entries = joined([part for _, part in parts])
    found = _Found(entries, np.array(places, np.int64)[which], entries.frequencies)
    if any(weight != 1.0 for weight in weights):
        found = _Found(entries, found.places, entries.frequencies * np.array(weights, np.float32)[which])
    several = [places.count(place) > 1 for place in range(len(query.terms))]
    if any(several):
        found = _added_up(found, np.array(several)[found.places])
    return found, [(places[i], part.slots) for i, part in parts]


def _added_up(found: _Found, several: BoolArray) -> _Found:
    """The same with one entry for each slot and field of terms that have several alternatives. several: (n,)."""
    mixed, rest = found.where(several), found.where(~several)
    key = mixed.places << 40 | mixed.entries.slots.astype(np.int64) << 8 | mixed.entries.fields
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    if not len(first):
        return rest
    sums = np.add.reduceat(mixed.frequencies[order].astype(np.float32), first)
    mixed = mixed.where(order[first])
    return _Found(
        joined([rest.entries, mixed.entries]),
        np.concatenate([rest.places, mixed.places]),
        np.concatenate([rest.frequencies, sums]),
    )


def _sums(places: AnyArray, values: AnyArray, n: int) -> ScoreArray:
    sums: ScoreArray = np.bincount(places, weights=values, minlength=n).astype(np.float64, copy=False)
    return sums
