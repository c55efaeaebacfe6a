"""Two answers to one query, side by side."""

from __future__ import annotations

from pathlib import Path

from events.rules import HideAction, PinAction, Rule
from searchsvc.rehearsal.preview import overlap, preview_of, preview_query, top_changed
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, engine, serving, upsert, with_rules

DOCUMENTS = [upsert(name, f"red shoe {name}", votes=9 - place) for place, name in enumerate("abcdef")]


def answer(state: ServingState) -> SearchAnswer:
    request = SearchRequest(limit=4)
    return Searcher(None, n_candidates=9).search(state, "shop", request, query_id="q", now=NOW).answer


def test_a_preview_says_what_moved_what_is_new_and_what_is_gone(tmp_path: Path) -> None:
    plain = serving(engine(tmp_path, DOCUMENTS).snapshot())
    drafted = with_rules(plain, {"r": Rule((PinAction("f", 2), HideAction("c")))})
    preview = preview_query("", answer(plain), answer(drafted))
    assert preview.before == ["a", "b", "c", "d"]
    assert [(hit.id, hit.rank, hit.previous_rank, hit.rank_change) for hit in preview.after] == [
        ("a", 1, 1, 0),
        ("f", 2, None, None),
        ("b", 3, 2, -1),
        ("d", 4, 4, 0),
    ]
    assert (preview.removed, preview.total, preview.overlap, preview.top_changed) == (["c"], (6, 5), 0.75, True)
    assert preview.applied_rules == ([], ["r"])


def test_a_query_whose_page_stays_does_not_count_as_changed(tmp_path: Path) -> None:
    plain = serving(engine(tmp_path, DOCUMENTS).snapshot())
    drafted = with_rules(plain, {"r": Rule((HideAction("c"),))})
    unchanged = preview_query("", answer(plain), answer(plain))
    assert (unchanged.overlap, unchanged.removed, unchanged.top_changed) == (1.0, [], False)
    assert preview_of([preview_query("", answer(plain), answer(drafted)), unchanged]).n_changed == 1


def test_overlap_is_the_share_of_the_longer_page() -> None:
    assert overlap([], []) == 1.0
    assert overlap(["a"], []) == 0.0
    assert overlap(["a", "b"], ["b", "c", "d", "e"]) == 0.25


def test_the_top_changes_with_the_order_of_the_first_three_only() -> None:
    assert top_changed(["a", "b", "c"], ["a", "c", "b"])
    assert not top_changed(["a", "b", "c", "d"], ["a", "b", "c", "e"])
