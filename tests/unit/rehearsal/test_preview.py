"""Two answers side by side."""

from __future__ import annotations

from pathlib import Path

from events.rules import HideAction, PinAction, Rule
from searchsvc.rehearsal.preview import compared, of_all
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, engine, serving, upsert, with_rules

DOCUMENTS = [upsert(name, f"red shoe {name}", votes=9 - place) for place, name in enumerate("abcdef")]


def answer(state: ServingState) -> SearchAnswer:
    asked = SearchRequest(limit=4)
    return Searcher(None, n_candidates=9).search(state, "shop", asked, query_id="q", now=NOW).answer


def test_a_preview_says_what_moved_what_is_new_and_what_is_gone(tmp_path: Path) -> None:
    plain = serving(engine(tmp_path, DOCUMENTS).snapshot())
    drafted = with_rules(plain, {"r": Rule((PinAction("f", 2), HideAction("c")))})
    found = compared("", answer(plain), answer(drafted))
    assert found.before == ["a", "b", "c", "d"]
    assert [(hit.id, hit.rank, hit.previous_rank, hit.rank_change) for hit in found.after] == [
        ("a", 1, 1, 0),
        ("f", 2, None, None),
        ("b", 3, 2, -1),
        ("d", 4, 4, 0),
    ]
    assert (found.removed, found.total, found.overlap, found.top_changed) == (["c"], (6, 5), 0.75, True)
    assert found.applied_rules == ([], ["r"])
    same = compared("", answer(plain), answer(plain))
    assert (same.overlap, same.removed, same.top_changed) == (1.0, [], False)
    assert of_all([found, same]).n_changed == 1
