"""Find phrases in the forward index."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.embedded.kernels.structs import ForwardArrays
from tuning.arrays import AnyArray
from tuning.compiled import compiled


@compiled("i8[1] ForwardArrays i4[1] u4[1] i8 u1[2]!")
def count_phrases(
    slots: AnyArray, forward: ForwardArrays, words: AnyArray, places: AnyArray, n_words: int, counts: AnyArray
) -> None:
    """Count how often each field of some slots contains a phrase.

    slots: (n,)
    words: (m,) word numbers of the phrase's stems, ascending
    places: (m,) bit i is set where the word has the i-th stem of the phrase
    n_words: stems in the phrase, at most 32
    counts: (n, n_fields) zeros, written to; at most 255
    """

    starts, row_words, fields, positions = forward.starts, forward.words, forward.fields, forward.positions
    longest = 0
    for slot in slots:
        longest = max(longest, starts[slot + 1] - starts[slot])
    # The words of the phrase in one slot: entries, and the places where they can stand in it.
    entries_of = np.empty(longest, np.int64)
    at = np.empty(longest, np.uint32)

    def find_words(slot: int) -> int:
        """Write what a slot has of the phrase to entries_of and at; return the number."""
        n = 0
        for entry in range(starts[slot], starts[slot + 1]):
            index = np.searchsorted(words, row_words[entry])
            if index < words.shape[0] and words[index] == row_words[entry]:
                entries_of[n], at[n] = entry, places[index]
                n += 1
        return n

    def stands(place: int, field: int, position: int, n: int) -> bool:
        """Whether a word that can stand at a place of the phrase is at a position."""
        for i in range(n):
            if (
                at[i] >> np.uint32(place) & np.uint32(1)
                and fields[entries_of[i]] == field
                and positions[entries_of[i]] == position
            ):
                return True
        return False

    for row in range(slots.shape[0]):
        n = find_words(slots[row])
        for i in range(n):
            if at[i] & np.uint32(1):
                field, position, place = int(fields[entries_of[i]]), int(positions[entries_of[i]]), 1
                while place < n_words and stands(place, field, position + place, n):
                    place += 1
                if place == n_words and counts[row, field] < 255:
                    counts[row, field] += 1
