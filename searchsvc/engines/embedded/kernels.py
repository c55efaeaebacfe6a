"""The loops that every search runs over thousands of small things, compiled: see `tuning.compiled`."""

from __future__ import annotations

from typing import Final

import numpy as np

from tuning.arrays import AnyArray, FloatArray, ScoreArray
from tuning.compiled import compiled

# What lies scattered is touched before it is read, a cache line at a time: many of these wait for memory at once, where
# the loop that reads them waits for each. Returned, or the compiler would leave it out.
LINE: Final = 64
# So many postings are looked through before those that count are read.
BLOCK: Final = 1024
# Where a term has more than so many postings for each that counts, these are searched for.
SEARCHED: Final = 32

_RUN: Final = "i4[1] i8[1] i4[1] u1[1] u1[1] u2[1]"


@compiled(f"{_RUN} {_RUN} b1[1] {_RUN.replace(']', ']!')}")
def merge(
    elder_terms: AnyArray,
    elder_starts: AnyArray,
    elder_slots: AnyArray,
    elder_fields: AnyArray,
    elder_frequencies: AnyArray,
    elder_lengths: AnyArray,
    later_terms: AnyArray,
    later_starts: AnyArray,
    later_slots: AnyArray,
    later_fields: AnyArray,
    later_frequencies: AnyArray,
    later_lengths: AnyArray,
    live: AnyArray,
    terms: AnyArray,
    starts: AnyArray,
    slots: AnyArray,
    fields: AnyArray,
    frequencies: AnyArray,
    lengths: AnyArray,
) -> int:
    """Write two runs of postings as one, term by term, the elder's entries first, those of dead slots left out.

    live: (n_slots,). terms, starts, slots, fields, frequencies, lengths: have room for all. Returns how many terms have
    entries left; these end at starts[that].
    """
    elder, later, n, end = 0, 0, 0, 0
    while elder < elder_terms.shape[0] or later < later_terms.shape[0]:
        has_elder = elder < elder_terms.shape[0]
        if has_elder and later < later_terms.shape[0]:
            has_elder = elder_terms[elder] <= later_terms[later]
        term = elder_terms[elder] if has_elder else later_terms[later]
        starts[n] = end
        if has_elder:
            for i in range(elder_starts[elder], elder_starts[elder + 1]):
                if live[elder_slots[i]]:
                    slots[end], fields[end] = elder_slots[i], elder_fields[i]
                    frequencies[end], lengths[end] = elder_frequencies[i], elder_lengths[i]
                    end += 1
            elder += 1
        if later < later_terms.shape[0] and later_terms[later] == term:
            for i in range(later_starts[later], later_starts[later + 1]):
                if live[later_slots[i]]:
                    slots[end], fields[end] = later_slots[i], later_fields[i]
                    frequencies[end], lengths[end] = later_frequencies[i], later_lengths[i]
                    end += 1
            later += 1
        if end > starts[n]:
            terms[n] = term
            n += 1
    starts[n] = end
    return n


@compiled("i4[1] i8[1] i8[1] u4[1] u4[1]!")
def hold(slots: AnyArray, begins: AnyArray, ends: AnyArray, bits: AnyArray, held: AnyArray) -> None:
    """Note in held: (n_slots,) which terms each slot holds, a bit a term.

    slots: of all postings. begins, ends, bits: (n_spans,) which of them are whose.
    """
    for span in range(begins.shape[0]):
        for i in range(begins[span], ends[span]):
            held[slots[i]] |= bits[span]


@compiled("u4[1] u4 b1[1] b1[1]! b1[1]!")
def match(held: AnyArray, required: np.uint32, allowed: AnyArray, every: AnyArray, some: AnyArray) -> tuple[int, int]:
    """Write (n_slots,) which allowed slots hold every required term, and which hold some; return how many do.

    held: (n_slots,) as `hold` notes it. required: the bits of the terms.
    """
    n_every, n_some = 0, 0
    for slot in range(held.shape[0]):
        bits = held[slot] & required
        every[slot] = allowed[slot] & (bits == required)
        some[slot] = allowed[slot] & (bits != 0)
        n_every += every[slot]
        n_some += some[slot]
    return n_every, n_some


@compiled("i4[1] u1[1] u1[1] u2[1] i8[1] i8[1] i8[1] f8[1] f8[2] f8[1] f8 b1[1] i8[1] f8[1]!")
def add_scores(
    slots: AnyArray,
    fields: AnyArray,
    frequencies: AnyArray,
    lengths: AnyArray,
    begins: AnyArray,
    ends: AnyArray,
    places: AnyArray,
    weights: ScoreArray,
    factors: ScoreArray,
    slope: ScoreArray,
    constant: float,
    matching: AnyArray,
    matches: AnyArray,
    sums: ScoreArray,
) -> None:
    """Add to sums: (n_slots,) the BM25 of slots that match: factor * f / (f + constant + slope * length).

    slots, fields, frequencies, lengths: of all postings. begins, ends: (n_spans,) which of them count, each span in the
    order of slots and fields, for the term at a place of the query. Spans of one place follow one another, and their
    frequencies, each times the weight of its span, are one sum: a later one adds what it makes of it. factors:
    (n_terms, n_fields). slope: (n_fields,). matching: (n_slots,) which match. matches: these, in order.
    """

    def reach(low: int, end: int, slot: int) -> int:
        """The first entry from low on whose slot is as large: it is not far away."""
        step = 1
        while low + step < end and slots[low + step] < slot:
            low, step = low + step, 2 * step
        high = min(low + step, end)
        while low < high:
            middle = (low + high) // 2
            if slots[middle] < slot:
                low = middle + 1
            else:
                high = middle
        return low

    at = np.empty_like(begins)
    counting = np.empty(BLOCK, np.int64)
    first = 0
    for span in range(begins.shape[0]):
        place, weight = places[span], weights[span]
        if places[first] != place:
            first = span
        at[first : span + 1] = begins[first : span + 1]
        entry, end, nth = begins[span], ends[span], 0
        few = matches.shape[0] * SEARCHED < end - entry
        while entry < end and nth < matches.shape[0]:
            n_counting = 0
            if few:
                while n_counting < BLOCK and entry < end and nth < matches.shape[0]:
                    entry = reach(entry, end, matches[nth])
                    if entry < end and slots[entry] == matches[nth]:
                        counting[n_counting] = entry
                        n_counting += 1
                        entry += 1
                    else:
                        nth += 1
            else:
                # Without a branch: one in ten counts, and nobody could foretell which.
                until = min(entry + BLOCK, end)
                for i in range(entry, until):
                    counting[n_counting] = i
                    n_counting += matching[slots[i]]
                entry = until
            for i in counting[:n_counting]:
                slot = slots[i]
                field, frequency, before = fields[i], weight * float(frequencies[i]), 0.0
                norm = constant + slope[field] * float(lengths[i])
                for earlier in range(first, span):
                    # What earlier spans of the same place counted here.
                    low = at[earlier] = reach(at[earlier], ends[earlier], slot)
                    while low < ends[earlier] and slots[low] == slot:
                        if fields[low] == field:
                            before += weights[earlier] * float(frequencies[low])
                        low += 1
                after = before + frequency
                share = after / (after + norm)
                if before > 0.0:
                    share -= before / (before + norm)
                sums[slot] += factors[place, field] * share


@compiled(
    "i8[1] i8[1] i4[1] u1[1] u2[1] i4[1] i8[1] i8[1] f8[1] i4[2] u8[1] u8 f8[1] f8 f8[2] f8[1] i8[1] i8[1] i8 f4[2]!"
)
def describe(
    slots: AnyArray,
    starts: AnyArray,
    words: AnyArray,
    fields: AnyArray,
    positions: AnyArray,
    wanted: AnyArray,
    meanings: AnyArray,
    meaning_places: AnyArray,
    meaning_weights: ScoreArray,
    lengths: AnyArray,
    titles: AnyArray,
    title: int,
    slope: ScoreArray,
    constant: float,
    factors: ScoreArray,
    telling: ScoreArray,
    needed: AnyArray,
    n_words: AnyArray,
    window: int,
    text: FloatArray,
) -> int:
    """Write (n, n_fields + 5) of each slot: BM25 of each field; exact_title, all_terms, coverage, phrase, proximity.

    starts, words, fields, positions: of the forward index. wanted: (n_wanted,) ascending, the words that mean
    something. The i-th means the places meaning_places[meanings[i] : meanings[i + 1]] of the query, each with a
    weight. lengths: (n_slots, n_fields). titles: (n_slots,) hashes; title: the one that is exact. slope, constant,
    factors: as in `add_scores`. telling: (n_terms,) share of the query's idf. needed: (n_terms,) what all_terms asks
    for. n_words: (n_terms,) of which each term is made. Of the places where terms are found, those are neighbours that
    have at most one between them in the same field. Returns what nobody needs: see LINE.
    """
    n_terms, n_fields = telling.shape[0], lengths.shape[1]
    touched = 0
    for i in range(slots.shape[0]):
        slot = slots[i]
        touched ^= lengths[slot, 0] ^ int(titles[slot] & 1)
        for entry in range(starts[slot], starts[slot + 1], LINE // words.itemsize):
            touched ^= words[entry] ^ fields[entry] ^ positions[entry]
    # Most words of a document mean nothing to the query: their last bits tell, from a table that stays in the cache.
    perhaps = np.zeros(4096, np.bool_)
    for i in range(wanted.shape[0]):
        perhaps[wanted[i] & 4095] = True
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
            word = words[entry]
            if not perhaps[word & 4095]:
                continue
            code, end = 0, wanted.shape[0]
            while code < end:
                middle = (code + end) // 2
                if wanted[middle] < word:
                    code = middle + 1
                else:
                    end = middle
            if code == wanted.shape[0] or wanted[code] != word:
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
        n_held, coverage, phrase, proximity = 0, 0.0, 0.0, 0.0
        for place in range(n_terms):
            if held[place]:
                coverage += telling[place]
                n_held += needed[place]
        for place in range(n_terms - 1):
            phrase += adjacent[place] / (n_terms - 1)
            proximity += near[place] / (n_terms - 1)
        for field in range(n_fields):
            norm = constant + slope[field] * float(lengths[slot, field])
            bm25 = 0.0
            for place in range(n_terms):
                found = frequency[field, place]
                if found > 0.0:
                    bm25 += factors[place, field] * found / (found + norm)
            text[i, field] = bm25
        text[i, n_fields] = 1.0 if titles[slot] == title else 0.0
        text[i, n_fields + 1] = 1.0 if n_needed > 0 and n_held == n_needed else 0.0
        text[i, n_fields + 2] = coverage
        text[i, n_fields + 3] = phrase
        text[i, n_fields + 4] = proximity
    return touched


@compiled("i8[1] f8[1] u8[2] i8[1]!", "i8[1] f4[1] u8[2] i8[1]!")
def lead(slots: AnyArray, keys: AnyArray, prefixes: AnyArray, best: AnyArray) -> bool:
    """Write (k,) the positions of the k least keys, equal ones by the prefixes of their slots, and return whether these
    tell all of them apart, from each other and from what comes next.

    slots, keys: (n,), k or more. prefixes: (n_slots, 2).
    """

    def after(one: int, other: int) -> bool:
        if keys[one] != keys[other]:
            return bool(keys[one] > keys[other])
        left, right = slots[one], slots[other]
        if prefixes[left, 0] != prefixes[right, 0]:
            return bool(prefixes[left, 0] > prefixes[right, 0])
        return bool(prefixes[left, 1] > prefixes[right, 1])

    def sift(position: int, end: int) -> None:
        """Put a position in the place of the first, and let it down among those before an end."""
        at, child = 0, 1
        while child < end:
            if child + 1 < end and after(best[child + 1], best[child]):
                child += 1
            if not after(best[child], position):
                break
            best[at] = best[child]
            at, child = child, 2 * child + 1
        best[at] = position

    # A heap: whatever stands at i comes after what stands at 2 i + 1 and 2 i + 2, so the last of all stands first.
    k = best.shape[0]
    for position in range(keys.shape[0]):
        if position < k:
            at = position
            while at > 0 and after(position, best[(at - 1) // 2]):
                best[at] = best[(at - 1) // 2]
                at = (at - 1) // 2
            best[at] = position
        elif after(best[0], position):
            sift(position, k)
    for end in range(k - 1, 0, -1):
        position = best[end]
        best[end] = best[0]
        sift(position, end)
    for i in range(1, k):
        if not after(best[i], best[i - 1]):
            return False
    # Who is as good as the last of them may have been left out for nothing.
    last, n_last = best[k - 1], 0
    for position in range(keys.shape[0]):
        if keys[position] == keys[last] and not after(position, last) and not after(last, position):
            n_last += 1
    return n_last == 1


@compiled("u1[1] u1[1] u2[1] i8 i8 f8[1] f8 f8[1]!")
def peaks(
    fields: AnyArray,
    frequencies: AnyArray,
    lengths: AnyArray,
    begin: int,
    end: int,
    slope: ScoreArray,
    constant: float,
    largest: ScoreArray,
) -> None:
    """Write (n_fields,) the largest f / (f + constant + slope * length) among some postings of each field: see
    `add_scores`. largest: comes as zeros."""
    for i in range(begin, end):
        field, frequency = fields[i], float(frequencies[i])
        share = frequency / (frequency + constant + slope[field] * float(lengths[i]))
        largest[field] = max(largest[field], share)


@compiled("u4[1] b1[1] f4[2] f4[1]! f4[1]!")
def promise(held: AnyArray, matching: AnyArray, bounds: FloatArray, promised: FloatArray, sample: FloatArray) -> None:
    """Write (n_slots,) the most that each slot could earn, -1 where it does not match; and an even sample of it.

    held: (n_slots,) as `hold` notes it. bounds: (4, 256) what the terms of each byte of it could earn together.
    sample: (n,) not more than slots.
    """
    wide = bounds[2:].max() > 0.0
    for slot in range(held.shape[0]):
        bits = held[slot]
        bound = bounds[0, bits & 255] + bounds[1, (bits >> 8) & 255]
        if wide:
            bound += bounds[2, (bits >> 16) & 255] + bounds[3, bits >> 24]
        promised[slot] = bound if matching[slot] else np.float32(-1.0)
    stride = held.shape[0] // sample.shape[0]
    for part in range(sample.shape[0]):
        sample[part] = promised[part * stride]


@compiled("i8[1] u4[1] f4[2] f8 f8[1] b1[1]!")
def give_up(
    slots: AnyArray, held: AnyArray, bounds: FloatArray, least: float, sums: ScoreArray, chosen: AnyArray
) -> None:
    """Write False in chosen: (n_slots,) for those of some slots that cannot earn so much any more.

    sums: (n_slots,) what they have. held, bounds: as in `promise`, of the terms that are not in the sums yet.
    """
    for i in range(slots.shape[0]):
        slot = slots[i]
        bits = held[slot]
        bound = bounds[0, bits & 255] + bounds[1, (bits >> 8) & 255]
        bound += bounds[2, (bits >> 16) & 255] + bounds[3, bits >> 24]
        chosen[slot] = sums[slot] + bound >= least


@compiled("i4[1] i4[1] b1[1] b1[1]!")
def mark(slots: AnyArray, codes: AnyArray, passing: AnyArray, marked: AnyArray) -> None:
    """Write True for (n_slots,) the slots that have a code that passes.

    slots, codes: (n,) pairs. passing: (n_codes,).
    """
    for i in range(slots.shape[0]):
        marked[slots[i]] |= passing[codes[i]]


@compiled("i4[1] i4[1] b1[1] i8[1]!")
def count(slots: AnyArray, codes: AnyArray, matching: AnyArray, counts: AnyArray) -> None:
    """Add to counts: (n_codes,) how many matching slots have each code.

    slots, codes: (n,) pairs. matching: (n_slots,).
    """
    for i in range(slots.shape[0]):
        counts[codes[i]] += matching[slots[i]]
