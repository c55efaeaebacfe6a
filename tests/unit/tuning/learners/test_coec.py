"""Behavior statistics of an index."""

from __future__ import annotations

import pytest

from tests.simulation.behavior import NOW_S, PAGE, simulate_pages, simulate_query
from tuning.learners.behavior import HALF_LIFE_S
from tuning.learners.coec import Coec, UserQuery


def test_a_late_event_counts_what_it_is_worth_by_now() -> None:
    coec = Coec()
    coec.observe_ranking(PAGE, 1, 1, NOW_S + HALF_LIFE_S)
    coec.observe_value("d0", 1, 4.0, 1, NOW_S)
    assert coec.documents.subjects["d0"].clicks == pytest.approx(2.0)


def test_restored_statistics_equal_the_original() -> None:
    coec, again = Coec(b"secret"), Coec(b"secret")
    simulate_pages(coec, 200, {"d0": 2.0})
    coec.register("d0", ["brand=Norvik"])
    coec.observe_ranking(PAGE, 1, 7, NOW_S, UserQuery("lamp", 1))
    coec.observe_value("d0", 1, 1.0, 7, NOW_S, UserQuery("lamp", 1))
    again.restore(dict(coec.parts()))
    assert again.rate(1) == coec.rate(1)
    for name in ("documents", "families", "queries", "pairs"):
        subjects = getattr(coec, name).subjects
        assert subjects
        assert getattr(again, name).subjects == subjects


def test_stored_hashes_of_a_query_depend_on_the_secret() -> None:
    first, second = Coec(b"one"), Coec(b"other")
    for coec in (first, second):
        coec.observe_ranking(PAGE, 1, 7, NOW_S, UserQuery("lamp", 11))
    assert not first.pairs.subjects.keys() & second.pairs.subjects.keys()
    assert not first.queries.subjects.keys() & second.queries.subjects.keys()
    assert all(behavior.users == [11] for behavior in first.pairs.subjects.values()), "no user of BEHAVIOR"
    assert b"lamp" not in b"".join(dict(first.parts()).values())


def test_statistics_from_before_registration_count_for_the_family() -> None:
    early, late = Coec(), Coec()
    for coec in (early, late):
        if coec is early:
            coec.register("d0", ["brand=Norvik"])
        simulate_query(coec, 100, {"d0": 2.0}, "lamp")
        coec.register("d0", ["brand=Norvik"])
    early_family, late_family = (coec.families.subjects["brand=Norvik"] for coec in (early, late))
    assert [late_family.clicks, late_family.expected] == pytest.approx([early_family.clicks, early_family.expected])
    assert late_family.buckets == pytest.approx(early_family.buckets)
