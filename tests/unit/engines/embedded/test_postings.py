"""Postings: runs are merged as they grow, and every view sees the entries of its slots."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.columnar.lexicon_view import IndexedAlternative
from searchsvc.engines.embedded.kernels.structs import Entries, LengthNorm
from searchsvc.engines.embedded.postings import Postings, PostingsView

LIVE = np.ones(1000, np.bool_)


def entries(*rows: tuple[int, int, int, int]) -> Entries:
    """Return entries of slot, field, frequency and length."""
    slots, fields, frequencies, lengths = np.array(rows).reshape(-1, 4).T
    return Entries(
        slots.astype(np.int32), fields.astype(np.uint8), frequencies.astype(np.uint8), lengths.astype(np.uint16)
    )


def slots_of(view: PostingsView, term: int) -> list[int]:
    slots: list[int] = []
    for query_spans in view.spans([IndexedAlternative(0, term, 1.0)]):
        for begin, end in zip(query_spans.spans.begins, query_spans.spans.ends, strict=True):
            slots += query_spans.run.arrays.entries.slots[begin:end].tolist()
    return slots


def test_runs_stay_few_and_lose_no_entry() -> None:
    postings = Postings()
    for slot in range(200):
        postings.add(np.array([0, slot % 5 + 1]), entries((slot, 0, 1, 2), (slot, 1, 2, 3)), LIVE)
    view = postings.view()
    assert slots_of(view, 0) == list(range(200))
    assert slots_of(view, 3) == list(range(2, 200, 5))
    assert len(view.spans([IndexedAlternative(0, 0, 1.0)])) < 10


def test_a_view_does_not_see_later_runs() -> None:
    postings = Postings()
    postings.add(np.array([4]), entries((0, 0, 1, 1)), LIVE)
    before = postings.view()
    postings.add(np.array([4]), entries((1, 0, 1, 1)), LIVE)
    assert slots_of(before, 4) == [0]
    assert slots_of(postings.view(), 4) == [0, 1]


def test_a_merge_drops_entries_of_dead_slots_and_reopening_changes_nothing() -> None:
    postings = Postings()
    live = LIVE.copy()
    postings.add(np.zeros(40, np.int64), entries(*((slot, 0, 1, 1) for slot in range(40))), live)
    postings.add(np.array([0, 7, 0, 7]), entries(*((slot, 0, 1, 1) for slot in (40, 40, 41, 41))), live)
    assert slots_of(postings.view(), 0) == list(range(42))
    live[::2] = False
    stored = postings.store(live)
    postings.merge(live)
    assert slots_of(postings.view(), 0) == list(range(1, 42, 2))
    assert slots_of(Postings(stored).view(), 0) == list(range(1, 42, 2))
    assert slots_of(Postings(stored).view(), 7) == [41]


def test_an_empty_index_has_no_postings() -> None:
    postings = Postings()
    postings.add(np.empty(0, np.int64), entries(), LIVE)
    postings.merge(LIVE)
    assert postings.view().spans([IndexedAlternative(0, 0, 1.0)]) == []
    stored = postings.store(LIVE)
    assert (len(stored.terms), stored.starts.tolist()) == (0, [0])
    assert Postings(stored).view().spans([]) == []


def test_spans_carry_position_and_weight_and_can_be_selected_by_term() -> None:
    postings = Postings()
    postings.add(np.array([1, 2, 3]), entries((0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 1)), LIVE)
    alternatives = [IndexedAlternative(0, 3, 1.0), IndexedAlternative(1, 9, 0.4), IndexedAlternative(2, 1, 0.5)]
    (query_spans,) = postings.view().spans(alternatives)
    assert query_spans.spans.terms.tolist() == [0, 2]
    assert query_spans.spans.weights.tolist() == [1.0, 0.5]
    assert query_spans.of_terms([2, 1]).spans.weights.tolist() == [0.5]


def test_saturations_are_recomputed_once_the_average_length_has_grown_much() -> None:
    postings = Postings()
    postings.add(np.array([1, 1]), entries((0, 0, 3, 10), (1, 0, 1, 2)), LIVE)
    (query_spans,) = postings.view().spans([IndexedAlternative(0, 1, 1.0)])
    for slope in (0.1, 0.095, 0.05, 0.2):
        norm = LengthNorm(np.array([slope]), 0.3)
        run = query_spans.run
        bound = run.saturations.largest(run.arrays.entries, query_spans.spans, norm)[0, 0]
        exact = max(3 / (3.3 + slope * 10), 1 / (1.3 + slope * 2))
        assert exact <= bound + 1e-12
        assert bound <= exact * 1.2 or slope == 0.2
