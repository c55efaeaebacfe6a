"""Score the slots that match a query by BM25."""

from __future__ import annotations

from typing import Final

import numpy as np

from searchsvc.engines.embedded.kernels.structs import Entries, LengthNorm, Spans
from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled

# Entries that are looked through before those that match are read.
BLOCK: Final = 1024
# Where a postings list has more entries than this for each match, matches are searched for in it.
GALLOP_RATIO: Final = 32


@compiled("Entries Spans f8[2] LengthNorm b1[1] i8[1] f8[1]!")
def add_scores(
    entries: Entries,
    spans: Spans,
    factors: ScoreArray,
    norm: LengthNorm,
    matching: AnyArray,
    matches: AnyArray,
    scores: ScoreArray,
) -> None:
    """Add BM25 to the scores of matching slots: factor * f / (f + constant + slope * length).

    The frequencies of all spans of one query term are one sum f, each times the weight of its span. Each span adds
    what it changes in the score.

    entries: of one run
    spans: those to add; the spans of one query term follow one another
    factors: (n_terms, n_fields)
    matching: (n_slots,) which slots match
    matches: (n,) the slots that match, ascending
    scores: (n_slots,) written to
    """

    slots, fields, frequencies, lengths = entries
    begins, ends, terms, weights = spans
    slopes, constant = norm
    cursors = np.empty_like(begins)
    block = np.empty(BLOCK, np.int64)

    def gallop(low: int, end: int, slot: int) -> int:
        """Return the first entry from low on whose slot is not less than `slot`. Fast if it is near."""
        stride = 1
        while low + stride < end and slots[low + stride] < slot:
            low, stride = low + stride, 2 * stride
        high = min(low + stride, end)
        while low < high:
            middle = (low + high) // 2
            if slots[middle] < slot:
                low = middle + 1
            else:
                high = middle
        return low

    def search_matches(entry: int, end: int, match: int) -> tuple[int, int, int]:
        """Write the next entries of matching slots to block; return their number, the next entry and match."""
        n = 0
        while n < BLOCK and entry < end and match < matches.shape[0]:
            entry = gallop(entry, end, matches[match])
            if entry < end and slots[entry] == matches[match]:
                block[n] = entry
                n += 1
                entry += 1
            else:
                match += 1
        return n, entry, match

    def filter_block(entry: int, end: int) -> tuple[int, int]:
        """Write the entries of matching slots among the next BLOCK to block; return their number and the next entry.

        It does not branch: one entry in ten matches, which the processor cannot predict.
        """
        n, stop = 0, min(entry + BLOCK, end)
        for i in range(entry, stop):
            block[n] = i
            n += matching[slots[i]]
        return n, stop

    def earlier_frequency(first: int, span: int, slot: int, field: int) -> float:
        """Return the weighted frequency that earlier spans of the same term, from first on, gave to a slot's field."""
        frequency = 0.0
        for earlier in range(first, span):
            low = cursors[earlier] = gallop(cursors[earlier], ends[earlier], slot)
            while low < ends[earlier] and slots[low] == slot:
                if fields[low] == field:
                    frequency += weights[earlier] * float(frequencies[low])
                low += 1
        return frequency

    first = 0
    for span in range(begins.shape[0]):
        term, weight = terms[span], weights[span]
        if terms[first] != term:
            first = span
        cursors[first : span + 1] = begins[first : span + 1]
        entry, end, match, n = begins[span], ends[span], 0, 0
        gallops = matches.shape[0] * GALLOP_RATIO < end - entry
        while entry < end and match < matches.shape[0]:
            if gallops:
                n, entry, match = search_matches(entry, end, match)
            else:
                n, entry = filter_block(entry, end)
            for i in block[:n]:
                slot, field = slots[i], fields[i]
                before = earlier_frequency(first, span, slot, field)
                after = before + weight * float(frequencies[i])
                length_norm = constant + slopes[field] * float(lengths[i])
                share = after / (after + length_norm)
                if before > 0.0:
                    share -= before / (before + length_norm)
                scores[slot] += factors[term, field] * share
