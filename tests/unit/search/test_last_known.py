"""Answers that are shown again while nothing can be searched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec

from searchsvc.search.last_known import LastKnown
from searchsvc.search.request import SearchRequest
from tests.factories import NOW
from tests.searching import red_shoes, search


def test_the_latest_answer_to_the_same_request_is_found_for_any_user(tmp_path: Path) -> None:
    state, last_known = red_shoes(tmp_path), LastKnown(2)
    control, outcome = state.control.index("shop"), search(state, "red shoe")
    last_known.keep(control, SearchRequest(query="red shoe", user_token="anna"), outcome)
    later = NOW + timedelta(minutes=1)
    again = last_known.find(control, SearchRequest(query="red shoe"), query_id="q2", now=later)
    assert again is not None
    assert (again.answer.query_id, again.answer.degraded, again.answer.hits) == (
        "q2",
        ["last_known"],
        outcome.answer.hits,
    )
    assert (again.shown.id, again.shown.timestamp, again.shown.degraded) == ("q2", later, ("last_known",))
    assert last_known.find(control, SearchRequest(query="red"), query_id="q2", now=later) is None
    too_fresh = SearchRequest(query="red shoe", min_seq=outcome.answer.applied_seq + 1)
    assert last_known.find(control, too_fresh, query_id="q2", now=later) is None


def test_degraded_and_long_answers_are_not_kept_and_the_oldest_is_forgotten(tmp_path: Path) -> None:
    state, last_known = red_shoes(tmp_path), LastKnown(2)
    control, outcome = state.control.index("shop"), search(state, "red shoe")

    def is_kept(query: str) -> bool:
        return last_known.find(control, SearchRequest(query=query), query_id="q2", now=NOW) is not None

    last_known.keep(control, SearchRequest(query="broken"), search(state, "broken"))
    long = msgspec.structs.replace(outcome.answer, hits=outcome.answer.hits * 11)
    last_known.keep(control, SearchRequest(query="long"), msgspec.structs.replace(outcome, answer=long))
    assert not is_kept("broken")
    assert not is_kept("long")
    for query in "abc":
        last_known.keep(control, SearchRequest(query=query), outcome)
    assert [is_kept(query) for query in "abc"] == [False, True, True]
