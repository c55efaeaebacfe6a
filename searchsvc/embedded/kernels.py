"""The two loops that every search runs over thousands of small things, compiled.

In numpy they are a hundred calls, each of which costs more than its work, and all of them hold Python's lock. Compiled
they are one call each, without it. The code is cached beside the module; `warm_up` makes it before the first search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np

from searchsvc.arrays import AnyArray, ScoreArray

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def _compiled(function: F) -> F:
    try:
        cached: F = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Neither the module's folder nor the user's can be written: each start compiles anew.
        cached = numba.njit(nogil=True)(function)
    return cached


@_compiled
def scores(
    slots: AnyArray,
    fields: AnyArray,
    frequencies: AnyArray,
    lengths: AnyArray,
    places: AnyArray,
    factors: ScoreArray,
    slope: ScoreArray,
    constant: float,
    matching: AnyArray,
) -> ScoreArray:
    """(n_slots,) BM25 of slots that match, 0 elsewhere: sums of factor * f / (f + constant + slope * length).

    slots, fields, frequencies, lengths, places: (n_entries,). factors: (n_terms, n_fields). slope: (n_fields,).
    matching: (n_slots,) which slots match.
    """
    sums = np.zeros(matching.shape[0], np.float64)
    for i in range(slots.shape[0]):
        slot = slots[i]
        if matching[slot]:
            field, frequency = fields[i], float(frequencies[i])
            norm = constant + slope[field] * float(lengths[i])
            sums[slot] += factors[places[i], field] * frequency / (frequency + norm)
    return sums


@_compiled
def describe(
    slots: AnyArray,
    starts: AnyArray,
    words: AnyArray,
    fields: AnyArray,
    positions: AnyArray,
    code_of: AnyArray,
    meanings: AnyArray,
    meaning_places: AnyArray,
    meaning_weights: ScoreArray,
    lengths: AnyArray,
    slope: ScoreArray,
    constant: float,
    factors: ScoreArray,
    telling: ScoreArray,
    needed: AnyArray,
    n_words: AnyArray,
    window: int,
) -> tuple[ScoreArray, ScoreArray]:
    """(n, n_fields) BM25 of each slot; (n, 4) all_terms, coverage, phrase, proximity.

    starts, words, fields, positions: of the forward index. code_of: (n_words,) word -> code, -1 where the query has no
    use for it. A code means the places meaning_places[meanings[code] : meanings[code + 1]] of the query, each with a
    weight. lengths: (n_slots, n_fields). slope, constant, factors: as in `scores`. telling: (n_terms,) share of the
    query's idf. needed: (n_terms,) what all_terms asks for. n_words: (n_terms,) of which each term is made.
    Of the places where terms are found, those are neighbours that have at most one between them in the same field.
    """
    n_terms, n_fields = telling.shape[0], lengths.shape[1]
    bm25 = np.zeros((slots.shape[0], n_fields), np.float64)
    text = np.zeros((slots.shape[0], 4), np.float64)
    frequency = np.zeros((n_fields, n_terms), np.float64)
    held = np.zeros(n_terms, np.bool_)
    adjacent = np.zeros(n_terms, np.bool_)
    near = np.zeros(n_terms, np.float64)
    n_needed = needed.sum()
    for i in range(slots.shape[0]):
        slot = slots[i]
        frequency[:] = 0.0
        held[:] = False
        adjacent[:] = False
        near[:] = 0.0
        # The last two places where a term was found: field, position, place in the query.
        field_1, position_1, place_1 = -1, -1, -9
        field_2, position_2, place_2 = -1, -1, -9
        for entry in range(starts[slot], starts[slot + 1]):
            code = code_of[words[entry]]
            if code < 0:
                continue
            field, position = int(fields[entry]), int(positions[entry])
            for meaning in range(meanings[code], meanings[code + 1]):
                place = int(meaning_places[meaning])
                frequency[field, place] += meaning_weights[meaning]
                held[place] = True
                for other_field, other_position, other_place in (
                    (field_1, position_1, place_1),
                    (field_2, position_2, place_2),
                ):
                    apart = abs(position - other_position)
                    if other_field == field and abs(place - other_place) == 1 and 1 <= apart <= window:
                        pair = min(place, other_place)
                        near[pair] = max(near[pair], 1.0 / apart)
                        if (place - other_place) * (position - other_position) == n_words[pair]:
                            adjacent[pair] = True
                field_2, position_2, place_2 = field_1, position_1, place_1
                field_1, position_1, place_1 = field, position, place
        n_held = 0
        for place in range(n_terms):
            if held[place]:
                text[i, 1] += telling[place]
                n_held += needed[place]
        text[i, 0] = 1.0 if n_needed > 0 and n_held == n_needed else 0.0
        for place in range(n_terms - 1):
            text[i, 2] += adjacent[place] / (n_terms - 1)
            text[i, 3] += near[place] / (n_terms - 1)
        for field in range(n_fields):
            norm = constant + slope[field] * float(lengths[slot, field])
            for place in range(n_terms):
                found = frequency[field, place]
                if found > 0.0:
                    bm25[i, field] += factors[place, field] * found / (found + norm)
    return bm25, text


def warm_up() -> None:
    """Compile both, or load what was compiled before, for the types that searches use. Blocks, for seconds at worst."""
    none = np.zeros(0, np.int64)
    for frequencies in (np.uint8, np.float32):
        for readonly in (True, False):
            columns: list[Any] = [np.zeros(0, kind) for kind in (np.int32, np.uint8, frequencies, np.uint16)]
            for column in columns:
                column.flags.writeable = not readonly
            slots, fields, counts, lengths = columns
            scores(slots, fields, counts, lengths, none, np.zeros((1, 1)), np.zeros(1), 0.3, np.zeros(1, np.bool_))
    rows: list[Any] = [np.zeros(n, kind) for n, kind in ((1, np.int64), (0, np.int32), (0, np.uint8), (0, np.uint16))]
    starts, words, entry_fields, positions = rows
    field_lengths: Any = np.zeros((0, 1), np.int32)
    for column in (*rows, field_lengths):
        column.flags.writeable = False
    describe(
        none,
        starts,
        words,
        entry_fields,
        positions,
        np.zeros(0, np.int16),
        np.zeros(1, np.int64),
        none,
        np.zeros(0),
        field_lengths,
        np.zeros(1),
        0.3,
        np.zeros((1, 1)),
        np.zeros(1),
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        8,
    )
