"""The report of a what-if, from searches that were read and repeated."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import pytest

from searchsvc.rehearsal.what_if.report import QueryNdcg
from searchsvc.rehearsal.what_if.searches import FirstPages, LoggedSearch, RepeatableSearch
from searchsvc.rehearsal.what_if.summary import ndcg_change, public_searches, summarize
from tests.factories import ranking

LAMP, MUG, SECRET = (RepeatableSearch(query, "") for query in ("lamp", "mug", "secret"))
SECOND = 1 / math.log2(3)


def logged(search: RepeatableSearch | None, *users: str) -> list[LoggedSearch]:
    return [
        LoggedSearch(msgspec.structs.replace(ranking(f"{search}{n}"), user=user), search)
        for n, user in enumerate(users)
    ]


def test_documents_win_and_lose_exposure_by_how_often_their_search_is_made() -> None:
    counts = Counter({LAMP: 3, MUG: 1})
    pages = {LAMP: FirstPages(["a", "b"], ["b", "a"]), MUG: FirstPages(["a"], ["a"])}
    report = summarize(logged(LAMP, "", "", "") + logged(MUG, ""), {}, counts, pages, None)
    change = (1 - SECOND) * 3 / 4
    ((winner,), (loser,)) = report.winners, report.losers
    assert [(document.id, document.n_searches) for document in (winner, loser)] == [("b", 3), ("a", 3)]
    assert winner.exposure_change == pytest.approx(change)
    assert loser.exposure_change == pytest.approx(-change)
    assert (report.n_rankings, report.n_queries, report.coverage) == (4, 2, 1.0)
    assert (report.overlap, report.top_changed) == (1.0, 0.75)


def test_coverage_counts_the_searches_that_were_not_repeated_and_sealed_ones_are_counted_apart() -> None:
    counts = Counter({LAMP: 1, MUG: 3})
    entries = [*logged(LAMP, ""), *logged(MUG, "", "", ""), *logged(None, "u1", "u2")]
    report = summarize(entries, {}, counts, {LAMP: FirstPages(["a"], ["b"])}, None)
    assert (report.n_rankings, report.n_sealed, report.n_queries, report.coverage) == (6, 2, 1, 0.25)
    assert (report.overlap, report.top_changed) == (0.0, 1.0)


def test_a_log_without_searches_gives_an_empty_report() -> None:
    report = summarize([], {}, Counter(), {}, None)
    assert (report.since, report.until, report.coverage, report.overlap, report.top_changed) == (
        None,
        None,
        0.0,
        1.0,
        0.0,
    )
    assert (report.winners, report.losers, report.most_changed) == ([], [], [])


def test_a_query_of_few_users_is_counted_and_not_listed() -> None:
    entries = [*logged(SECRET, "u1", "u2"), *logged(LAMP, "u1", "u2", "u3"), *logged(MUG, "")]
    assert public_searches(entries) == {LAMP, MUG}
    counts = Counter({SECRET: 2, LAMP: 3, MUG: 1})
    pages = dict.fromkeys((SECRET, LAMP, MUG), FirstPages(["a", "b"], ["b", "a"]))
    report = summarize(entries, {}, counts, pages, None)
    assert [query.query for query in report.most_changed] == ["lamp", "mug"]
    assert report.n_queries == 3


def test_the_searches_that_change_most_come_first() -> None:
    counts = Counter({LAMP: 2, MUG: 1})
    pages = {LAMP: FirstPages(["a", "b", "c", "d"], ["a", "b", "c", "e"]), MUG: FirstPages(["a"], ["b"])}
    report = summarize([*logged(LAMP, "", ""), *logged(MUG, "")], {}, counts, pages, None)
    assert [(query.query, query.overlap, query.top_changed) for query in report.most_changed] == [
        ("mug", 0.0, True),
        ("lamp", 0.75, False),
    ]


def test_every_kind_of_interaction_has_an_estimate_or_a_reason() -> None:
    report = summarize(logged(LAMP, ""), {}, Counter({LAMP: 1}), {LAMP: FirstPages(["a"], ["b"])}, None)
    assert [*report.expected] == ["clicks", "carts", "purchases"]


def test_judged_queries_have_a_mean_winners_and_losers() -> None:
    change = ndcg_change([QueryNdcg("lamp", 0.5, 1.0), QueryNdcg("mug", 1.0, 0.75), QueryNdcg("pen", 0.25, 0.25)])
    assert change.n == 3
    assert change.before == pytest.approx(1.75 / 3)
    assert change.after == pytest.approx(2.0 / 3)
    assert [query.query for query in change.winners] == ["lamp"]
    assert [query.query for query in change.losers] == ["mug"]
    assert ndcg_change([]).n == 0
