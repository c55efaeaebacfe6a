"""Read the titles of candidates in the forward index."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.embedded.kernels.structs import ForwardArrays
from tuning.arrays import AnyArray, BoolArray
from tuning.compiled import compiled


@compiled("i8[1] ForwardArrays i4[1] i8 i4[1] i4[1] i4[1] i8 b1[1]!")
def goes_with(
    slots: AnyArray,
    forward: ForwardArrays,
    term_of: AnyArray,
    title: int,
    things: AnyArray,
    heads: AnyArray,
    purposes: AnyArray,
    max_words: int,
    result: BoolArray,
) -> None:
    """Do what `searchsvc.analysis.title_heads.goes_with` does, with the titles of slots.

    term_of: (n_words,) term of each word
    title: column of the title
    things: terms of the thing, in ascending order
    heads: terms of its heads, in ascending order
    purposes: terms of words like "for", in ascending order
    max_words: words of a title that are read
    result: (n_slots,) written to
    """
    starts, words, fields, _, lengths, _ = forward

    def contains(terms: AnyArray, term: int) -> bool:
        place = np.searchsorted(terms, term)
        return bool(place < terms.shape[0] and terms[place] == term)

    for i in range(slots.shape[0]):
        slot = slots[i]
        entry = starts[slot]
        while entry < starts[slot + 1] and fields[entry] != title:
            entry += 1
        end = entry + min(lengths[slot, title], max_words)
        is_after_purpose, is_named, is_thing = False, False, False
        while entry < end and not is_thing:
            term = term_of[words[entry]]
            if contains(things, term):
                follows = entry + 1 < end and contains(heads, term_of[words[entry + 1]])
                is_thing = not is_after_purpose and not follows
                is_named = True
            is_after_purpose = is_after_purpose or contains(purposes, term)
            entry += 1
        result[i] = is_named and not is_thing
