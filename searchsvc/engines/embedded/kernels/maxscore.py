"""MaxScore: bound what a slot can score by the terms it holds, and prune slots that cannot reach the top k.

Bounds of terms come as (4, 256) tables: row b, column v is the sum of the bounds of the terms whose bits are set where
byte b of a slot's term bits is v. So a slot's bound is a sum of four numbers.
Source: Turtle & Flood 1995.
"""

from __future__ import annotations

import numpy as np

from searchsvc.engines.embedded.kernels.structs import Entries, LengthNorm
from tuning.arrays import AnyArray, FloatArray, ScoreArray
from tuning.compiled import compiled


@compiled("Entries i8 i8 LengthNorm f8[1]!")
def largest_saturations(entries: Entries, begin: int, end: int, norm: LengthNorm, largest: ScoreArray) -> None:
    """Find the largest f / (f + constant + slope * length) of each field among the entries from begin to end.

    largest: (n_fields,) zeros, written to
    """
    for i in range(begin, end):
        field, frequency = entries.fields[i], float(entries.frequencies[i])
        saturation = frequency / (frequency + norm.constant + norm.slopes[field] * float(entries.lengths[i]))
        largest[field] = max(largest[field], saturation)


@compiled("u4[1] b1[1] f4[2] f4[1]! f4[1]!")
def upper_bounds(
    term_bits: AnyArray, matching: AnyArray, bounds: FloatArray, slot_bounds: FloatArray, sample: FloatArray
) -> None:
    """Bound the score of every slot.

    term_bits: (n_slots,) see `postings.set_term_bits`
    matching: (n_slots,)
    bounds: (4, 256) of all terms
    slot_bounds: (n_slots,) written to; -1 for slots that do not match
    sample: (n,) written to: every n-th of slot_bounds, n <= n_slots
    """
    more_than_16_terms = bounds[2:].max() > 0.0
    for slot in range(term_bits.shape[0]):
        bits = term_bits[slot]
        bound = bounds[0, bits & 255] + bounds[1, (bits >> 8) & 255]
        if more_than_16_terms:
            bound += bounds[2, (bits >> 16) & 255] + bounds[3, bits >> 24]
        slot_bounds[slot] = bound if matching[slot] else np.float32(-1.0)
    stride = term_bits.shape[0] // sample.shape[0]
    for i in range(sample.shape[0]):
        sample[i] = slot_bounds[i * stride]


@compiled("i8[1] u4[1] f4[2] f8 f8[1] b1[1]!")
def prune(
    slots: AnyArray, term_bits: AnyArray, bounds: FloatArray, threshold: float, scores: ScoreArray, survivors: AnyArray
) -> None:
    """Mark which slots can still score at least the threshold.

    slots: (n,) to look at
    term_bits: (n_slots,)
    bounds: (4, 256) of the terms that are not in the scores yet
    scores: (n_slots,) so far
    survivors: (n_slots,) written to at `slots`
    """
    for i in range(slots.shape[0]):
        slot = slots[i]
        bits = term_bits[slot]
        bound = bounds[0, bits & 255] + bounds[1, (bits >> 8) & 255]
        bound += bounds[2, (bits >> 16) & 255] + bounds[3, bits >> 24]
        survivors[slot] = scores[slot] + bound >= threshold
