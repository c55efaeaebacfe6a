"""Compiled loops give what a plain loop over the same arrays gives."""

from __future__ import annotations

import numpy as np
import pytest

from searchsvc.engines.columnar import kernels as columnar
from searchsvc.engines.embedded.kernels import attributes, features, maxscore, postings, scoring, top_k
from searchsvc.engines.embedded.kernels.structs import (
    Entries,
    ForwardArrays,
    LengthNorm,
    QueryPlan,
    RunArrays,
    Spans,
    no_phrases,
)
from searchsvc.engines.embedded.postings import Run

N_SLOTS = 400
NORM = LengthNorm(np.array([0.02, 0.05]), 0.3)


def run(seed: int, low: int = 0, high: int = N_SLOTS, n: int = 3000, n_terms: int = 8) -> RunArrays:
    """Return a run of random entries, each field of a slot at most once a term; the first terms are frequent."""
    rng = np.random.default_rng(seed)
    keys = np.unique(
        np.stack([rng.integers(low, high, n), rng.integers(0, 2, n), n_terms * rng.random(n) ** 4], axis=1).astype(int),
        axis=0,
    )
    slots, fields, terms = keys.T
    entries = Entries(
        slots.astype(np.int32),
        fields.astype(np.uint8),
        rng.integers(1, 6, len(keys)).astype(np.uint8),
        (1 + (7 * slots + 3 * fields) % 40).astype(np.uint16),
    )
    return Run.from_entries(terms, entries).arrays


def rows(arrays: RunArrays) -> list[tuple[int, ...]]:
    """Return term, slot, field, frequency and length of each entry."""
    terms = np.repeat(arrays.terms, np.diff(arrays.starts))
    return list(zip(terms.tolist(), *(column.tolist() for column in arrays.entries), strict=True))


def spans_of(arrays: RunArrays, index: list[int], terms: list[int], weights: list[float]) -> Spans:
    return Spans(arrays.starts[index], arrays.starts[np.add(index, 1)], np.array(terms), np.array(weights))


def test_merged_runs_hold_all_live_entries_in_order() -> None:
    older, newer = run(1, high=300), run(2, low=300)
    live = np.random.default_rng(3).random(N_SLOTS) < 0.7
    n_terms, n = len(older.terms) + len(newer.terms), len(older.entries.slots) + len(newer.entries.slots)
    entries = Entries(*(np.empty(n, column.dtype) for column in older.entries))
    merged = RunArrays(np.empty(n_terms, np.int32), np.empty(n_terms + 1, np.int64), entries)
    n_left = postings.merge_runs(older, newer, live, merged)
    end = merged.starts[n_left]
    merged_run = RunArrays(
        merged.terms[:n_left], merged.starts[: n_left + 1], Entries(*(c[:end] for c in merged.entries))
    )
    expected = sorted((row for row in rows(older) + rows(newer) if live[row[1]]), key=lambda row: row[:3])
    assert rows(merged_run) == expected


def test_slots_match_by_the_terms_they_hold() -> None:
    arrays = run(4)
    term_bits = np.zeros(N_SLOTS, np.uint32)
    postings.set_term_bits(arrays.entries, spans_of(arrays, [0, 4, 5], [0, 1, 31], [1.0, 1.0, 1.0]), term_bits)
    holds = np.zeros((N_SLOTS, 3), np.bool_)
    for term, slot, *_ in rows(arrays):
        if term in (0, 4, 5):
            holds[slot, (0, 4, 5).index(term)] = True
    bits = np.array([1, 2, 2**31], np.uint32)
    assert term_bits.tolist() == (holds @ bits.astype(np.int64)).tolist()
    allowed = np.random.default_rng(5).random(N_SLOTS) < 0.6
    with_all, with_any = np.empty(N_SLOTS, np.bool_), np.empty(N_SLOTS, np.bool_)
    counts = postings.match_terms(term_bits, np.uint32(2**31 + 1), allowed, with_all, with_any)
    assert with_all.tolist() == (allowed & holds[:, 0] & holds[:, 2]).tolist()
    assert with_any.tolist() == (allowed & (holds[:, 0] | holds[:, 2])).tolist()
    assert counts == (with_all.sum(), with_any.sum())


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_scores_are_bm25_of_the_weighted_sum_of_all_alternatives(share: float) -> None:
    arrays = run(6, n=20_000)
    spans = spans_of(arrays, [0, 1, 2, 5], [0, 0, 1, 1], [1.0, 0.5, 0.9, 1.0])
    factors = np.array([[2.0, 1.0], [0.5, 3.0]])
    matching = np.random.default_rng(7).random(N_SLOTS) < share
    scores = np.zeros(N_SLOTS)
    scoring.add_scores(arrays.entries, spans, factors, NORM, matching, np.flatnonzero(matching), scores)
    weights = {0: (0, 1.0), 1: (0, 0.5), 2: (1, 0.9), 5: (1, 1.0)}
    frequencies: dict[tuple[int, int, int, int], float] = {}
    for term, slot, field, frequency, length in rows(arrays):
        if term in weights and matching[slot]:
            position, weight = weights[term]
            key = slot, position, field, length
            frequencies[key] = frequencies.get(key, 0.0) + weight * frequency
    expected = np.zeros(N_SLOTS)
    for (slot, position, field, length), f in frequencies.items():
        expected[slot] += factors[position, field] * f / (f + NORM.constant + NORM.slopes[field] * length)
    np.testing.assert_allclose(scores, expected)
    assert scores[matching].max() > 0.0
    # The sparse match set is searched for in the postings, the dense one is filtered from them.
    n_longest = int((spans.ends - spans.begins).max())
    assert (matching.sum() * scoring.GALLOP_RATIO < n_longest) == (share < 0.1)


def test_the_largest_saturation_is_that_of_the_entry_that_has_it() -> None:
    arrays = run(8)
    largest = np.zeros(2)
    maxscore.largest_saturations(arrays.entries, int(arrays.starts[1]), int(arrays.starts[2]), NORM, largest)
    expected = [0.0, 0.0]
    for term, _, field, f, length in rows(arrays):
        if term == arrays.terms[1]:
            expected[field] = max(expected[field], f / (f + NORM.constant + NORM.slopes[field] * length))
    np.testing.assert_allclose(largest, expected)


def test_pruning_keeps_slots_that_can_reach_the_threshold() -> None:
    rng = np.random.default_rng(9)
    bounds = rng.random((4, 256)).astype(np.float32)
    term_bits, scores = rng.integers(0, 2**32, N_SLOTS, dtype=np.uint32), rng.random(N_SLOTS)
    slots, survivors = np.arange(0, N_SLOTS, 2), np.ones(N_SLOTS, np.bool_)
    maxscore.prune(slots, term_bits, bounds, 2.5, scores, survivors)
    reachable = scores + sum(bounds[byte, (term_bits >> np.uint32(8 * byte)) & 255] for byte in range(4))
    assert survivors[::2].tolist() == (reachable >= 2.5)[::2].tolist()
    assert survivors[1::2].all()


def test_text_features_of_a_small_document() -> None:
    # Field 0: "red shoe big", field 1: "shoe red", of words 3, 5 and 9.
    forward = ForwardArrays(
        starts=np.array([0, 5, 6]),
        words=np.array([3, 5, 9, 5, 3, 9], np.int32),
        fields=np.array([0, 0, 0, 1, 1, 0], np.uint8),
        positions=np.array([0, 1, 2, 0, 1, 0], np.uint16),
        lengths=np.array([[3, 2], [1, 0]], np.int32),
        titles=np.array([77, 1], np.uint64),
    )
    plan = QueryPlan(
        words=np.array([3, 5], np.int32),
        starts=np.array([0, 1, 2]),
        terms=np.array([0, 1]),
        weights=np.array([1.0, 0.5]),
        coverages=np.array([1.0, 0.8]),
        title=77,
        factors=np.array([[1.0, 2.0], [3.0, 4.0]]),
        idf_shares=np.array([0.75, 0.25]),
        required=np.array([1, 1]),
        widths=np.array([1, 1]),
        phrases=no_phrases(),
    )
    text = np.empty((2, 2 + features.N_QUERY_FEATURES), np.float32)
    features.text_features(np.array([0, 1]), forward, plan, NORM, 8, text)
    norms = NORM.constant + NORM.slopes * [3, 2]
    bm25 = [1 / (1 + norms[0]) + 3 * 0.5 / (0.5 + norms[0]), 2 / (1 + norms[1]) + 4 * 0.5 / (0.5 + norms[1])]
    np.testing.assert_allclose(text[0], [*bm25, 1, 1, 0.95, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(text[1], 0.0)


def test_words_past_the_window_are_not_near() -> None:
    for distance, expected in ((2, 0.5), (3, 0.0)):
        forward = ForwardArrays(
            starts=np.array([0, 2]),
            words=np.array([1, 2], np.int32),
            fields=np.zeros(2, np.uint8),
            positions=np.array([0, distance], np.uint16),
            lengths=np.array([[9]], np.int32),
            titles=np.array([0], np.uint64),
        )
        plan = QueryPlan(
            words=np.array([1, 2], np.int32),
            starts=np.array([0, 1, 2]),
            terms=np.array([0, 1]),
            weights=np.ones(2),
            coverages=np.ones(2),
            title=5,
            factors=np.ones((2, 1)),
            idf_shares=np.full(2, 0.5),
            required=np.zeros(2, np.int64),
            widths=np.ones(2, np.int64),
            phrases=no_phrases(),
        )
        text = np.empty((1, 1 + features.N_QUERY_FEATURES), np.float32)
        features.text_features(np.array([0]), forward, plan, LengthNorm(np.array([0.1]), 0.3), 2, text)
        assert text[0, 1:].tolist() == [0.0, 0.0, 1.0, 0.0, expected]


def test_the_top_k_says_whether_it_is_certain() -> None:
    slots, prefixes = np.array([4, 3, 2, 1, 0]), np.array([[i, 0] for i in range(5)], np.uint64)
    best = np.empty(3, np.int64)
    assert top_k.top_k(slots, np.array([0.5, 0.1, 0.5, 0.9, 0.5]), prefixes, best)
    assert best.tolist() == [1, 4, 2]
    assert not top_k.top_k(slots, np.array([0.5, 0.1, 0.5, 0.9, 0.5]), np.zeros((5, 2), np.uint64), best)
    assert not top_k.top_k(slots, np.full(5, 0.5, np.float32), np.zeros((5, 2), np.uint64), best[:1])


def test_values_are_marked_and_counted() -> None:
    slots, codes = np.array([0, 0, 1, 3], np.int32), np.array([0, 1, 1, 2], np.int32)
    marked, counts = np.zeros(4, np.bool_), np.zeros(3, np.int64)
    attributes.mark_slots(slots, codes, np.array([False, True, False]), marked)
    assert marked.tolist() == [True, True, False, False]
    attributes.count_values(slots, codes, np.array([True, False, True, True]), counts)
    assert counts.tolist() == [1, 1, 1]


def test_cosines_are_those_of_the_rounded_vectors() -> None:
    rng = np.random.default_rng(11)
    vectors, scales = rng.integers(-127, 128, (50, 64)).astype(np.int8), rng.random(50).astype(np.float32)
    query = rng.normal(size=64).astype(np.float32)
    products = np.empty(20, np.float32)
    slots = rng.choice(50, 20, replace=False)
    columnar.cosines(vectors, scales, slots, query, products)
    exact = (vectors[slots].astype(np.float64) * scales[slots, None]) @ query
    np.testing.assert_allclose(products, exact, rtol=1e-3, atol=1e-2)


def test_a_hash_table_has_each_number_at_its_hash_or_behind_it() -> None:
    hashes = np.array([5, 5, 13, 7, 0], np.uint32)
    table = np.full(8, -1, np.int32)
    columnar.fill_hash_table(hashes, table)
    assert sorted(table.tolist()) == [-1, -1, -1, 0, 1, 2, 3, 4]
    for number, hashed in enumerate(hashes.tolist()):
        position = hashed % 8
        while table[position] != number:
            assert table[position] >= 0
            position = (position + 1) % 8


def test_sort_keys_order_as_the_characters_of_texts_do_without_case() -> None:
    texts = ["abc", "ABD", "\0abc", "", "abcÄ日\U00010400", "aß"]
    encoded = [text.encode() for text in texts]
    letters, ends = np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([len(text) for text in encoded])
    starts = ends - [len(text.removeprefix(b"\0")) for text in encoded]
    folded = np.array([-1 if chr(i) == "ß" else ord(chr(i).casefold()) for i in range(256)], np.int32)
    keys = np.empty(len(texts), np.int64)

    def expected(text: str) -> int:
        points = [ord(character) for character in text.ljust(3, "\0")]
        return points[0] << 42 | points[1] << 21 | points[2]

    columnar.sort_keys(letters, ends, np.arange(len(texts)), folded, starts, keys)
    assert keys.tolist() == [expected("abc"), expected("abd"), expected("abc"), 0, expected("abc"), -1]
    columnar.sort_keys(letters, ends, np.arange(len(texts)), folded, starts, keys)
    assert keys.tolist() == [0, 0, 0, 0, expected("ä日\U00010400"), 0]
    assert starts.tolist() == ends.tolist()
