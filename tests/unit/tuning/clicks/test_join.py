"""Joining rankings and interactions."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import NOW, click, ranking
from tuning.clicks.join import Clickthrough, ClickthroughJoin, Orphan


def test_a_click_before_its_ranking_waits_for_it() -> None:
    join = ClickthroughJoin(wait=timedelta(seconds=10))
    assert join.apply(click()) == []
    joined = join.apply(ranking())
    assert joined == [Clickthrough(ranking(), click())]
    assert join.expire(NOW + timedelta(hours=1)) == []


def test_a_click_whose_ranking_never_comes_becomes_an_orphan_for_good() -> None:
    join = ClickthroughJoin(wait=timedelta(seconds=10))
    join.apply(click())
    assert join.expire(NOW + timedelta(seconds=9)) == []
    orphans = join.expire(NOW + timedelta(seconds=10))
    assert [orphan.interaction.id for orphan in orphans] == ["e1"]
    assert join.apply(click()) == []
    assert join.apply(ranking()) == []


def test_a_click_on_a_document_that_its_late_ranking_did_not_show_is_an_orphan() -> None:
    join = ClickthroughJoin(wait=timedelta(seconds=10))
    join.apply(click(document_id="z"))
    assert isinstance(join.apply(ranking())[0], Orphan)


def test_the_join_stores_a_limited_number_of_events() -> None:
    join = ClickthroughJoin(wait=timedelta(seconds=10), n_rankings=2, n_waiting=2)
    pushed = [outcome for i in range(4) for outcome in join.apply(click(f"e{i}", f"missing{i}"))]
    assert [outcome.interaction.id for outcome in pushed] == ["e0", "e1"]
    for i in range(3):
        join.apply(ranking(f"r{i}"))
    assert join.apply(click("late", "r0")) != [Clickthrough(ranking("r0"), click("late", "r0"))]
