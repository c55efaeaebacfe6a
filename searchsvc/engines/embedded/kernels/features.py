"""Compute the text features of candidates from the forward index."""

from __future__ import annotations

from typing import Final

import numpy as np

from searchsvc.engines.embedded.kernels.structs import ForwardArrays, LengthNorm, PhraseArrays, QueryPlan
from tuning.arrays import AnyArray, FloatArray
from tuning.compiled import compiled

# Bytes of a cache line. Scattered rows are touched before they are read, so that the processor waits for many of them
# at once. What was read is returned, because the compiler would drop the loop otherwise.
LINE: Final = 64
# Features other than BM25: exact_title, all_terms, coverage, phrase, proximity.
N_QUERY_FEATURES: Final = 5
# Size of the table that tells most words of a document from those of the query; it fits the cache. A power of two.
TABLE: Final = 4096


@compiled("i8[1] ForwardArrays QueryPlan LengthNorm i8 f4[2]!")
def text_features(
    slots: AnyArray, forward: ForwardArrays, plan: QueryPlan, norm: LengthNorm, window: int, text: FloatArray
) -> int:
    """Write the text features of each slot: BM25 of each field, then N_QUERY_FEATURES.

    slots: (n,)
    window: positions between two words past which they are not near
    text: (n, n_fields + N_QUERY_FEATURES) written to

    Returns a number without meaning: see LINE.
    """

    starts, words, fields, positions, lengths, titles = forward
    plan_words, plan_starts, plan_terms, weights, coverages, title, factors, idf_shares, required, widths, _ = plan
    phrases: PhraseArrays = plan.phrases
    slopes, constant = norm
    n_terms, n_fields, n_required = idf_shares.shape[0], lengths.shape[1], required.sum()
    frequencies = np.zeros((n_fields, n_terms), np.float64)
    # How much of each term the slot covers; 0 for one that it does not contain.
    covered = np.zeros(n_terms, np.float64)
    # Of each term and the next: whether they are neighbours as in the query, and 1 / their least distance.
    adjacent = np.zeros(n_terms, np.bool_)
    nearness = np.zeros(n_terms, np.float64)
    table = np.zeros(TABLE, np.bool_)
    for word in plan_words:
        table[word & (TABLE - 1)] = True

    def touch_rows() -> int:
        """Bring the rows of all slots into the cache: see LINE."""
        touched = 0
        for slot in slots:
            touched ^= lengths[slot, 0] ^ int(titles[slot] & 1)
            for entry in range(starts[slot], starts[slot + 1], LINE // words.itemsize):
                touched ^= words[entry] ^ fields[entry] ^ positions[entry]
        return touched

    def find_word(word: int) -> int:
        """Return the position of a word in the plan, -1 if the plan does not have it."""
        low, high = 0, plan_words.shape[0]
        while low < high:
            middle = (low + high) // 2
            if plan_words[middle] < word:
                low = middle + 1
            else:
                high = middle
        return low if low < plan_words.shape[0] and plan_words[low] == word else -1

    def compare(term: int, position: int, other_term: int, other_position: int) -> None:
        """Record how near two occurrences in one field are, if their terms are neighbours in the query."""
        distance = abs(position - other_position)
        if abs(term - other_term) == 1 and 1 <= distance <= window:
            pair = min(term, other_term)
            nearness[pair] = max(nearness[pair], 1.0 / distance)
            if (term - other_term) * (position - other_position) == widths[pair]:
                adjacent[pair] = True

    def find_terms(slot: int) -> None:
        """Find the query's terms in one slot. Compares each occurrence with the last two before it."""
        frequencies[:] = 0.0
        covered[:] = 0.0
        adjacent[:] = False
        nearness[:] = 0.0
        field_1, position_1, term_1 = -1, -1, -9
        field_2, position_2, term_2 = -1, -1, -9
        for entry in range(starts[slot], starts[slot + 1]):
            word = words[entry]
            if not table[word & (TABLE - 1)]:
                continue
            index = find_word(word)
            if index < 0:
                continue
            field, position = int(fields[entry]), int(positions[entry])
            for i in range(plan_starts[index], plan_starts[index + 1]):
                term = int(plan_terms[i])
                frequencies[field, term] += weights[i]
                covered[term] = max(covered[term], coverages[i])
                if field_1 == field:
                    compare(term, position, term_1, position_1)
                if field_2 == field:
                    compare(term, position, term_2, position_2)
                field_2, position_2, term_2 = field_1, position_1, term_1
                field_1, position_1, term_1 = field, position, term

    def find_phrases(slot: int) -> None:
        """Find the phrases in one slot."""
        row, high = 0, phrases.slots.shape[0]
        while row < high:
            middle = (row + high) // 2
            if phrases.slots[middle] < slot:
                row = middle + 1
            else:
                high = middle
        while row < phrases.slots.shape[0] and phrases.slots[row] == slot:
            term = phrases.terms[row]
            frequencies[phrases.fields[row], term] += phrases.frequencies[row]
            covered[term] = 1.0
            if phrases.goes_on[row]:
                adjacent[term], nearness[term] = True, 1.0
            row += 1

    def bm25_of(slot: int, field: int) -> float:
        length_norm = constant + slopes[field] * float(lengths[slot, field])
        bm25 = 0.0
        for term in range(n_terms):
            frequency = frequencies[field, term]
            if frequency > 0.0:
                bm25 += factors[term, field] * frequency / (frequency + length_norm)
        return bm25

    touched = touch_rows()
    for i in range(slots.shape[0]):
        find_terms(slots[i])
        find_phrases(slots[i])
        n_held, coverage, phrase, proximity = 0, 0.0, 0.0, 0.0
        for term in range(n_terms):
            if covered[term] > 0.0:
                coverage += idf_shares[term] * covered[term]
                n_held += required[term]
        for term in range(n_terms - 1):
            phrase += adjacent[term] / (n_terms - 1)
            proximity += nearness[term] / (n_terms - 1)
        for field in range(n_fields):
            text[i, field] = bm25_of(slots[i], field)
        text[i, n_fields] = 1.0 if titles[slots[i]] == title else 0.0
        text[i, n_fields + 1] = 1.0 if n_required > 0 and n_held == n_required else 0.0
        text[i, n_fields + 2] = coverage
        text[i, n_fields + 3] = phrase
        text[i, n_fields + 4] = proximity
    return touched
