"""Keyword retrieval: which documents match a query, and which of them best.

A document matches when it holds every term that is not a stop word; terms that no document holds are left out. Where
that would not fill a first page, any term is enough. All that match are known, not only the best, because totals,
facets and sorting are over all of them. Scores are BM25 per field times the field's boost, as in `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.arrays import AnyArray, BoolArray, ScoreArray
from searchsvc.embedded.forward import K1, B, ForwardView, QueryStatistics
from searchsvc.embedded.postings import Entries, PostingsView, joined
from searchsvc.query import AskedOperator, Operator, Query, QueryTerm

# Below this many slots it is cheaper to add up scores for all of them than to number those that match.
DENSE_BELOW: Final = 100_000
# Where fewer documents than a first page hold all terms, those that hold some follow them.
FEW: Final = 10


class Matched(msgspec.Struct, frozen=True):
    """mask: (n_slots,). slots: (n,) ascending, all that match. operator: what a document had to hold."""

    mask: BoolArray
    slots: AnyArray
    operator: Operator


class Matching:
    """A query against one snapshot's postings: each term is looked up once, whatever is asked of it after that.

    n_slots: of the snapshot. left_out: places of the required terms that no document holds.
    """

    def __init__(self, postings: PostingsView, forward: ForwardView, query: Query, n_slots: int) -> None:
        self._statistics = forward.statistics(query)
        self._average_lengths = forward.average_lengths
        self._n_slots = n_slots
        known = self._statistics.known
        self._required = [place for place in query.required if known[place]]
        self.left_out = tuple(place for place in query.required if not known[place])
        self._parts = [_postings_of(postings, forward, term) for term in query.terms]
        self._masks = {place: _mask(self._parts[place][0].slots, n_slots) for place in self._required}

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
        return _scores(self._parts, self._statistics, boosts, matched.mask, matched.slots, self._average_lengths)


def _postings_of(postings: PostingsView, forward: ForwardView, term: QueryTerm) -> tuple[Entries, AnyArray]:
    """The entries of a term and their frequencies, one entry a slot and field, whichever alternatives it holds."""
    parts: list[Entries] = []
    weights: list[float] = []
    for one in term.alternatives:
        number = forward.lexicon.term_id(one.stem)
        for part in postings.of(number) if number is not None else ():
            parts.append(part)
            weights.append(one.weight)
    entries = joined(parts)
    frequencies = entries.frequencies
    if any(weight != 1.0 for weight in weights):
        frequencies = frequencies * np.repeat(np.array(weights, np.float32), [len(part) for part in parts])
    if len(term.alternatives) > 1 and len(parts) > 1:
        key = entries.slots.astype(np.int64) << 8 | entries.fields
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        frequencies = np.add.reduceat(frequencies[order].astype(np.float32), first)
        entries = entries.where(order[first])
    return entries, frequencies


def _mask(slots: AnyArray, n_slots: int) -> BoolArray:
    mask = np.zeros(n_slots, np.bool_)
    mask[slots] = True
    return mask


def _scores(
    parts: Sequence[tuple[Entries, AnyArray]],
    statistics: QueryStatistics,
    boosts: ScoreArray,
    matching: BoolArray,
    slots: AnyArray,
    average_lengths: AnyArray,
) -> ScoreArray:
    """(n,) of each of the matching slots."""
    if statistics.ceiling <= 0.0 or not len(slots):
        return np.zeros(len(slots))
    at: list[AnyArray] = []
    earned: list[AnyArray] = []
    slope = (K1 * B / np.maximum(average_lengths, 1e-9)).astype(np.float32)
    for idf, (entries, frequencies) in zip(statistics.idf, parts, strict=True):
        factor = (idf * boosts * (K1 + 1.0) / statistics.ceiling).astype(np.float32)
        norm = slope[entries.fields] * entries.lengths + np.float32(K1 * (1.0 - B))
        at.append(entries.slots)
        earned.append(factor[entries.fields] * frequencies / (frequencies + norm))
    all_slots, all_earned = np.concatenate(at), np.concatenate(earned)
    if len(matching) <= DENSE_BELOW:
        sums: ScoreArray = np.bincount(all_slots, weights=all_earned, minlength=len(matching))[slots].astype(np.float64)
        return sums
    kept = matching[all_slots]
    number = np.empty(len(matching), np.int32)
    number[slots] = np.arange(len(slots), dtype=np.int32)
    dense: ScoreArray = np.bincount(number[all_slots[kept]], weights=all_earned[kept], minlength=len(slots)).astype(
        np.float64
    )
    return dense
