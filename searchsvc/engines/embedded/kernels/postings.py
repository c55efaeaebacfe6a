"""Merge runs of postings, and find the slots that match a query."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.embedded.kernels.structs import Entries, RunArrays, Spans
from tuning.arrays import AnyArray
from tuning.compiled import compiled


@compiled("RunArrays RunArrays b1[1] RunArrays!")
def merge_runs(older: RunArrays, newer: RunArrays, live: AnyArray, merged: RunArrays) -> int:
    """Merge two runs term by term, the older run's entries first, and leave out entries of dead slots.

    older: the run whose slots come first
    newer: the run whose slots are all larger
    live: (n_slots,)
    merged: written to; has room for all terms and entries of both

    Returns the number of terms with entries left. merged.starts at that index is the number of entries left.
    """

    target = merged.entries

    def copy_live(source: Entries, start: int, stop: int, end: int) -> int:
        """Append source's entries from start to stop to the first `end` merged entries; return the new end."""
        for i in range(start, stop):
            if live[source.slots[i]]:
                target.slots[end], target.fields[end] = source.slots[i], source.fields[i]
                target.frequencies[end], target.lengths[end] = source.frequencies[i], source.lengths[i]
                end += 1
        return end

    i, j, n, end = 0, 0, 0, 0
    while i < older.terms.shape[0] or j < newer.terms.shape[0]:
        has_older = i < older.terms.shape[0]
        if has_older and j < newer.terms.shape[0]:
            has_older = older.terms[i] <= newer.terms[j]
        term = older.terms[i] if has_older else newer.terms[j]
        merged.starts[n] = end
        if has_older:
            end = copy_live(older.entries, older.starts[i], older.starts[i + 1], end)
            i += 1
        if j < newer.terms.shape[0] and newer.terms[j] == term:
            end = copy_live(newer.entries, newer.starts[j], newer.starts[j + 1], end)
            j += 1
        if end > merged.starts[n]:
            merged.terms[n] = term
            n += 1
    merged.starts[n] = end
    return n


@compiled("Entries Spans u4[1]!")
def set_term_bits(entries: Entries, spans: Spans, term_bits: AnyArray) -> None:
    """Set bit t of each slot that holds query term t.

    term_bits: (n_slots,) written to
    """
    slots = entries.slots
    for span in range(spans.begins.shape[0]):
        bit = np.uint32(1) << np.uint32(spans.terms[span])
        for i in range(spans.begins[span], spans.ends[span]):
            term_bits[slots[i]] |= bit


@compiled("u4[1] u4 b1[1] b1[1]! b1[1]!")
def match_terms(
    term_bits: AnyArray, required: np.uint32, allowed: AnyArray, with_all: AnyArray, with_any: AnyArray
) -> tuple[int, int]:
    """Find the allowed slots that hold all required terms, and those that hold any.

    term_bits: (n_slots,) see `set_term_bits`
    required: bits of the required terms
    allowed: (n_slots,)
    with_all: (n_slots,) written to
    with_any: (n_slots,) written to

    Returns how many slots hold all required terms, and how many any.
    """
    n_all, n_any = 0, 0
    for slot in range(term_bits.shape[0]):
        bits = term_bits[slot] & required
        with_all[slot] = allowed[slot] & (bits == required)
        with_any[slot] = allowed[slot] & (bits != 0)
        n_all += with_all[slot]
        n_any += with_any[slot]
    return n_all, n_any
