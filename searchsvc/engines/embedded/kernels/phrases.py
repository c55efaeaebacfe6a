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
    longest, n_fields, last_position = 0, counts.shape[1], 0
    for slot in slots:
        longest = max(longest, starts[slot + 1] - starts[slot])
        for entry in range(starts[slot], starts[slot + 1]):
            last_position = max(last_position, int(positions[entry]))
    # The words of the phrase in one slot, and by field and position the places where the word there can stand in it.
    entries_of = np.empty(longest, np.int64)
    places_of = np.empty(longest, np.uint32)
    standing = np.zeros((n_fields, last_position + 1), np.uint32)

    def find_words(slot: int) -> int:
        """Write the entries of a slot that are words of the phrase to these three; return their number."""
        n = 0
        for entry in range(starts[slot], starts[slot + 1]):
            index = np.searchsorted(words, row_words[entry])
            if index < words.shape[0] and words[index] == row_words[entry]:
                entries_of[n], places_of[n] = entry, places[index]
                standing[fields[entry], positions[entry]] |= places[index]
                n += 1
        return n

    def begins(field: int, position: int) -> bool:
        """Whether the phrase begins at a position."""
        if position + n_words > last_position + 1:
            return False
        place = 0
        while place < n_words and standing[field, position + place] >> np.uint32(place) & np.uint32(1):
            place += 1
        return place == n_words

    for row in range(slots.shape[0]):
        n = find_words(slots[row])
        for i in range(n):
            field, position = int(fields[entries_of[i]]), int(positions[entries_of[i]])
            if places_of[i] & np.uint32(1) and begins(field, position) and counts[row, field] < 255:
                counts[row, field] += 1
        for i in range(n):
            standing[fields[entries_of[i]], positions[entries_of[i]]] = 0
