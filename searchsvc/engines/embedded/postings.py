"""Postings: which slots hold a term. Sorted runs that are merged as they grow.

An entry says how often one field of one slot contains a term, and how long that field is: all that BM25 needs. Each
commit adds a small run. Runs of similar size are merged, so there are few runs and each entry is moved a bounded number
of times. Slots only grow, so a newer run has larger slots, and the entries of a term are in slot order. Entries of
dead slots stay until a merge drops them; readers skip them by the live mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.columnar.lexicon_view import IndexedAlternative
from searchsvc.engines.embedded.kernels import maxscore
from searchsvc.engines.embedded.kernels.postings import merge_runs
from searchsvc.engines.embedded.kernels.structs import Entries, LengthNorm, RunArrays, Spans
from tuning.arrays import AnyArray, BoolArray, ScoreArray

# A run is merged into the older run before it once it has this share of its entries.
MERGE_SHARE: Final = 0.25
# Saturations are computed anew once the slope of any field is below this share of the slope they were computed for.
MIN_SLOPE_RATIO: Final = 0.9
MAX_FREQUENCY: Final = 255
MAX_LENGTH: Final = 65_535


class Saturations:
    """Caches the largest saturation f / (f + constant + slope * length) of each postings list of a run.

    It bounds what a term can score (see `kernels.maxscore`). Computed when a search first needs it.
    """

    def __init__(self) -> None:
        self._cache: tuple[LengthNorm, dict[int, ScoreArray]] | None = None

    def largest(self, entries: Entries, spans: Spans, norm: LengthNorm) -> ScoreArray:
        """Return (n_spans, n_fields) an upper bound of the saturations in each span. It may be slightly too high."""
        cache = self._cache
        if cache is None or (norm.slopes < MIN_SLOPE_RATIO * cache[0].slopes).any():
            self._cache = cache = norm, {}
        cached_norm, by_begin = cache
        begins = spans.begins.tolist()
        for begin, end in zip(begins, spans.ends.tolist(), strict=True):
            if begin not in by_begin:
                largest = np.zeros(len(norm.slopes))
                maxscore.largest_saturations(entries, begin, end, cached_norm, largest)
                by_begin[begin] = largest
        # A smaller slope raises no saturation by more than the factor by which the slope fell.
        growth = np.maximum(cached_norm.slopes / norm.slopes, 1.0)
        bounds: ScoreArray = np.stack([by_begin[begin] for begin in begins]) * growth
        return bounds


class Run(msgspec.Struct, frozen=True):
    """A sorted batch of postings lists."""

    arrays: RunArrays
    saturations: Saturations = msgspec.field(default_factory=Saturations)

    @property
    def n_entries(self) -> int:
        return len(self.arrays.entries.slots)

    @staticmethod
    def from_entries(terms: AnyArray, entries: Entries) -> Run:
        """Sort entries into a run.

        terms: (n,) of each entry
        entries: in slot order
        """
        order = np.argsort(terms, kind="stable")
        distinct, starts = np.unique(terms[order], return_index=True)
        starts = np.append(starts, len(terms)).astype(np.int64)
        return Run(RunArrays(distinct.astype(np.int32), starts, select(entries, order)))


class QuerySpans(msgspec.Struct, frozen=True):
    """The postings lists of one run that a query reads."""

    run: Run
    spans: Spans

    def of_terms(self, positions: Sequence[int]) -> QuerySpans:
        """Return the spans of some query terms. positions: of the terms."""
        mask = np.isin(self.spans.terms, positions)
        return QuerySpans(self.run, Spans(*(array[mask] for array in self.spans)))


class Postings:
    """The writer's side.

    stored: the entries of a snapshot on disk
    """

    def __init__(self, stored: RunArrays | None = None) -> None:
        self._runs: list[Run] = [Run(stored)] if stored is not None and len(stored.entries.slots) else []

    def add(self, terms: AnyArray, entries: Entries, live: BoolArray) -> None:
        """Add a run of new slots.

        terms: (n,) of each entry
        entries: in slot order
        live: (n_slots,) merges drop entries of other slots
        """
        if not len(terms):
            return
        self._runs.append(Run.from_entries(terms, entries))
        while len(self._runs) > 1 and self._runs[-1].n_entries > MERGE_SHARE * self._runs[-2].n_entries:
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(Run(_merge(older.arrays, newer.arrays, live)))

    def merge(self, live: BoolArray) -> None:
        """Merge all runs into one. live: (n_slots,)."""
        if len(self._runs) > 1:
            self._runs = [Run(self.store(live))]

    def view(self) -> PostingsView:
        return PostingsView(tuple(self._runs))

    def store(self, live: BoolArray) -> RunArrays:
        """Return all entries as one run. live: (n_slots,)."""
        if not self._runs:
            return _empty_run(0, 0)
        merged = self._runs[0].arrays
        for run in self._runs[1:]:
            merged = _merge(merged, run.arrays, live)
        return merged


class PostingsView:
    """The reader's side: the runs of one snapshot."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self._runs = runs

    def spans(self, alternatives: Sequence[IndexedAlternative]) -> list[QuerySpans]:
        """Find the postings lists of a query, for each run that has any. All entries of a slot are in one run.

        alternatives: in the order of the query's terms
        """
        terms = np.array([alternative.term for alternative in alternatives], np.int32)
        positions = np.array([alternative.position for alternative in alternatives], np.int64)
        weights = np.array([alternative.weight for alternative in alternatives], np.float64)
        result = []
        for run in self._runs:
            arrays = run.arrays
            index = arrays.terms.searchsorted(terms)
            present = np.flatnonzero(arrays.terms.take(index, mode="clip") == terms)
            if len(present):
                lists = index[present]
                spans = Spans(arrays.starts[lists], arrays.starts[lists + 1], positions[present], weights[present])
                result.append(QuerySpans(run, spans))
        return result


def select(entries: Entries, selection: AnyArray | slice) -> Entries:
    """Return some entries. selection: a mask, positions or a slice."""
    return Entries(*(array[selection] for array in entries))


def _merge(older: RunArrays, newer: RunArrays, live: BoolArray) -> RunArrays:
    merged = _empty_run(len(older.terms) + len(newer.terms), len(older.entries.slots) + len(newer.entries.slots))
    n_terms = merge_runs(older, newer, live, merged)
    entries = select(merged.entries, slice(0, int(merged.starts[n_terms])))
    return RunArrays(merged.terms[:n_terms].copy(), merged.starts[: n_terms + 1].copy(), entries)


def _empty_run(n_terms: int, n: int) -> RunArrays:
    """Return a run with room for some terms and n entries."""
    entries = Entries(np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.uint8), np.empty(n, np.uint16))
    return RunArrays(np.empty(n_terms, np.int32), np.zeros(n_terms + 1, np.int64), entries)
