"""Which documents hold a term: postings in sorted runs, merged as they grow.

An entry says that a slot's field holds a term so many times, and how long that field is: all that BM25 asks for, in one
place. Each commit adds a small run; runs of like size are merged, so there are few of them and every entry is moved a
bounded number of times. Slots only grow, so a later run holds later slots and a term's entries are in slot order.
Entries of deleted slots stay until a merge drops them; readers leave them out by the live mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.embedded import kernels
from tuning.arrays import AnyArray, BoolArray, ScoreArray

# A run is merged into its elder once it has this share of the elder's entries.
MERGE_SHARE: Final = 0.25
# Averages that moved by more have what depends on them found anew.
DRIFT: Final = 0.9
MAX_FREQUENCY: Final = 255
MAX_LENGTH: Final = 65_535


class Entries(msgspec.Struct, frozen=True):
    """(n,) each: slots, fields (column numbers), frequencies, lengths (words of that field)."""

    slots: AnyArray
    fields: AnyArray
    frequencies: AnyArray
    lengths: AnyArray

    def where(self, kept: AnyArray | slice) -> Entries:
        """kept: a mask, positions or a slice."""
        return Entries(self.slots[kept], self.fields[kept], self.frequencies[kept], self.lengths[kept])

    def __len__(self) -> int:
        return len(self.slots)


class Peaks:
    """How much of what it could earn at most each term of a run does earn, where it earns most: so that whole documents
    can be left out by the terms they hold. Found as searches ask for it, and remembered.
    """

    def __init__(self) -> None:
        self._known: tuple[ScoreArray, dict[int, ScoreArray]] | None = None

    def of(self, spans: Spans, slope: ScoreArray, constant: float) -> ScoreArray:
        """(n_spans, n_fields) the largest f / (f + constant + slope * length) of each span's entries, or somewhat more.

        slope: (n_fields,), which moves with the average lengths.
        """
        known = self._known
        if known is None or (slope < DRIFT * known[0]).any():
            self._known = known = slope, {}
        then, shares = known
        for begin, end in zip(spans.begins.tolist(), spans.ends.tolist(), strict=True):
            if begin not in shares:
                share = np.zeros(len(slope))
                entries = spans.run.entries
                kernels.peaks(entries.fields, entries.frequencies, entries.lengths, begin, end, then, constant, share)
                shares[begin] = share
        # With a smaller slope, no share grows by more than the slope became smaller.
        found: ScoreArray = np.stack([shares[begin] for begin in spans.begins.tolist()]) * np.maximum(then / slope, 1.0)
        return found


class PostingsRun(msgspec.Struct, frozen=True):
    """terms: (n_terms,) ascending. starts: (n_terms + 1,) where the entries of each begin."""

    terms: AnyArray
    starts: AnyArray
    entries: Entries
    peaks: Peaks = msgspec.field(default_factory=Peaks)


class Spans(msgspec.Struct, frozen=True):
    """Where the entries of some terms are in a run. which: of the terms asked for; begins, ends: (n,) of each."""

    run: PostingsRun
    which: list[int]
    begins: AnyArray
    ends: AnyArray


def run_of(terms: AnyArray, entries: Entries) -> PostingsRun:
    """A run of entries in slot order. terms: (n,) of each entry."""
    order = np.argsort(terms, kind="stable")
    distinct, starts = np.unique(terms[order], return_index=True)
    return PostingsRun(distinct.astype(np.int32), np.append(starts, len(terms)).astype(np.int64), entries.where(order))


class Postings:
    """The writer's side."""

    def __init__(self, stored: PostingsRun | None = None) -> None:
        self._runs: list[PostingsRun] = [stored] if stored is not None and len(stored.entries) else []

    def add(self, terms: AnyArray, entries: Entries, live: BoolArray) -> None:
        """Add entries of new slots, in slot order. live: (n_slots,); merges drop what is not."""
        if not len(terms):
            return
        self._runs.append(run_of(terms, entries))
        while len(self._runs) > 1 and len(self._runs[-1].entries) > MERGE_SHARE * len(self._runs[-2].entries):
            later, elder = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(elder, later, live))

    def merge(self, live: BoolArray) -> None:
        """Make all one run."""
        self._runs = [self.store(live)] if len(self._runs) > 1 else self._runs

    def view(self) -> PostingsView:
        return PostingsView(tuple(self._runs))

    def store(self, live: BoolArray) -> PostingsRun:
        """All entries as one run, for a snapshot on disk."""
        whole = self._runs[0] if self._runs else PostingsRun(np.empty(0, np.int32), np.zeros(1, np.int64), _entries(0))
        for run in self._runs[1:]:
            whole = _merged(whole, run, live)
        return whole


class PostingsView:
    """The reader's side: immutable, at one commit."""

    def __init__(self, runs: tuple[PostingsRun, ...]) -> None:
        self._runs = runs

    def of(self, terms: Sequence[int]) -> list[Spans]:
        """For each run that holds any of the terms. A slot has all its entries in one run."""
        asked = np.array(terms, np.int32)
        found = []
        for run in self._runs:
            at = run.terms.searchsorted(asked)
            held = np.flatnonzero(run.terms.take(at, mode="clip") == asked)
            if len(held):
                found.append(Spans(run, held.tolist(), run.starts[at[held]], run.starts[at[held] + 1]))
        return found


def _merged(elder: PostingsRun, later: PostingsRun, live: BoolArray) -> PostingsRun:
    """Both in one, without what is dead."""
    terms = np.empty(len(elder.terms) + len(later.terms), np.int32)
    starts = np.empty(len(terms) + 1, np.int64)
    entries = _entries(len(elder.entries) + len(later.entries))
    n_terms = kernels.merge(*_columns(elder), *_columns(later), live, terms, starts, *_columns_of(entries))
    kept = slice(0, int(starts[n_terms]))
    return PostingsRun(terms[:n_terms].copy(), starts[: n_terms + 1].copy(), entries.where(kept))


def _columns(run: PostingsRun) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray, AnyArray, AnyArray]:
    return run.terms, run.starts, *_columns_of(run.entries)


def _columns_of(entries: Entries) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    return entries.slots, entries.fields, entries.frequencies, entries.lengths


def _entries(n: int) -> Entries:
    """Room for n."""
    return Entries(np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.uint8), np.empty(n, np.uint16))
