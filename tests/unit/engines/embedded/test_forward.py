"""The forward index: statistics count live documents only, and features are read from any snapshot."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from searchsvc.analysis.analyzer import analyze
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded.forward import MAX_POSITION, ForwardIndex
from searchsvc.engines.embedded.forward_view import ForwardView
from searchsvc.engines.embedded.kernels.structs import no_phrases
from searchsvc.engines.embedded.postings import MAX_FREQUENCY, MAX_LENGTH
from searchsvc.engines.retrieval import TextFeatures


def index(*documents: tuple[str, str]) -> ForwardIndex:
    forward = ForwardIndex(2, 0)
    forward.add([[analyze(text) for text in fields] for fields in documents])
    return forward


def features(view: ForwardView, text: str, *slots: int) -> TextFeatures:
    query = understand(text, view.lexicon)
    return view.features(np.array(slots, np.int64), view.plan(query, view.statistics(query), no_phrases()))


def test_postings_say_how_often_each_field_contains_each_term() -> None:
    forward = ForwardIndex(2, 0)
    terms, entries = forward.add([[analyze("red shoes red"), analyze("shoe")]])
    red, shoe = (forward.view().lexicon.term(stem) for stem in ("red", "shoe"))
    rows = list(zip(terms.tolist(), *(column.tolist() for column in entries), strict=True))
    assert sorted(rows) == sorted([(red, 0, 0, 2, 3), (shoe, 0, 0, 1, 3), (shoe, 0, 1, 1, 1)])


def test_long_fields_are_clipped() -> None:
    forward = ForwardIndex(1, 0)
    _, entries = forward.add([[analyze("red " * (MAX_LENGTH + 5))]])
    assert entries.frequencies.max() == MAX_FREQUENCY
    assert entries.lengths.max() == MAX_LENGTH
    assert forward.store().arrays.positions.max() == MAX_POSITION


def test_a_removed_document_no_longer_counts() -> None:
    forward = index(("red shoe", "x"), ("red hat", "y z"))
    forward.remove([1])
    alone, both = index(("red shoe", "x")), forward
    query = understand("red shoe", alone.view().lexicon)
    old, new = (forward.view().statistics(query) for forward in (both, alone))
    np.testing.assert_array_equal(old.idf, new.idf)
    np.testing.assert_array_equal(both.view().norm.slopes, alone.view().norm.slopes)
    assert both.view().lexicon.count("hat") == 0


def test_features_of_a_title_that_is_the_query() -> None:
    view = index(("red shoe", "a big red shoe"), ("shoe", "big shoe of red leather"), ("hat", "")).view()
    text_features = features(view, "red shoe", 0, 1, 2)
    assert text_features.exact_title.tolist() == [1.0, 0.0, 0.0]
    assert text_features.all_terms.tolist() == [1.0, 1.0, 0.0]
    assert text_features.phrase.tolist() == [1.0, 0.0, 0.0]
    assert text_features.coverage[0] == pytest.approx(1.0)
    assert text_features.proximity.tolist() == [1.0, 0.5, 0.0]
    assert text_features.bm25[0, 0] > text_features.bm25[1, 0] > text_features.bm25[2, 0] == 0.0


def test_features_of_a_query_that_nothing_matches_are_zero() -> None:
    view = index(("red shoe", "")).view()
    query = understand("qqqqqq", view.lexicon)
    assert view.plan(query, view.statistics(query), no_phrases()) is None
    text_features = features(view, "qqqqqq", 0)
    assert not text_features.bm25.any()
    assert text_features.coverage.tolist() == [0.0]


def test_a_reopened_index_gives_the_same_features_and_takes_more() -> None:
    forward = index(("red shoe", "big"), ("blue hat", "red"))
    reopened = ForwardIndex(2, 0, forward.store())
    before, after = (features(each.view(), "red hat", 0, 1) for each in (forward, reopened))
    np.testing.assert_array_equal(before.bm25, after.bm25)
    reopened.add([[analyze("red"), analyze("hat")]])
    assert reopened.view().lexicon.count("hat") == 1
    assert reopened.store().n_live == 3
    assert len(features(reopened.view(), "red hat", 2).bm25) == 1


def test_a_document_with_the_words_of_a_slot_is_as_if_it_was_analyzed() -> None:
    texts = "Red shoes, red: 3.0 TB wi-fi", "shoe"
    forward = index(texts, ("blue", "hat"))
    copied_terms, copied = forward.add([0])
    terms, analyzed = forward.add([[analyze(text) for text in texts]])
    assert copied_terms.tolist() == terms.tolist()
    for name in ("fields", "frequencies", "lengths"):
        assert getattr(copied, name).tolist() == getattr(analyzed, name).tolist()
    assert set(copied.slots.tolist()) == {2}
    view = forward.view()
    for query in ("red shoes", "3tb", "wifi", "red shoes, red: 3.0 TB wi-fi"):
        found = features(view, query, 2, 3)
        for name, column in msgspec.structs.asdict(found).items():
            assert (column[0] == column[1]).all(), (query, name)
