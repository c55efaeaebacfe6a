"""Pages and when they close."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from events.types import InteractionRecorded
from tests.factories import NOW, click, ranking
from tuning.clicks.pages import LOG_DELAY, MAX_OPEN, SETTLE, Pages, interaction_grade

MOMENT = timedelta(microseconds=1)


def feedback(document_id: str, value: float | None) -> InteractionRecorded:
    return msgspec.structs.replace(click(document_id=document_id), kind="feedback", value=value)


def test_a_page_closes_a_fixed_time_after_it_was_shown_and_only_once() -> None:
    pages = Pages()
    pages.observe_ranking(ranking())
    assert pages.close(NOW + SETTLE + LOG_DELAY - MOMENT) == []
    (page,) = pages.close(NOW + SETTLE + LOG_DELAY)
    assert page.ranking == ranking()
    assert pages.close(NOW + timedelta(days=1)) == []


def test_interactions_count_by_kind_and_while_the_page_is_open() -> None:
    pages = Pages()
    pages.observe_ranking(ranking())
    pages.observe_interaction(click())
    pages.observe_interaction(msgspec.structs.replace(click(document_id="b"), kind="purchase"))
    pages.observe_interaction(msgspec.structs.replace(click(document_id="c"), kind="view"))
    pages.observe_interaction(msgspec.structs.replace(click(document_id="c"), received_at=NOW + SETTLE + MOMENT))
    pages.observe_interaction(click(document_id="c", query_id="another"))
    (page,) = pages.close(NOW + timedelta(hours=1))
    assert (page.clicked, page.bought, page.disliked) == ({"a", "b"}, {"b"}, set())


def test_a_disliked_document_does_not_count_as_clicked_before_or_after() -> None:
    pages = Pages()
    pages.observe_ranking(ranking())
    for interaction in (click(), feedback("a", -1.0), click(), feedback("b", 0.5), feedback("c", 0.0)):
        pages.observe_interaction(interaction)
    (page,) = pages.close(NOW + timedelta(hours=1))
    assert (page.clicked, page.disliked) == ({"b"}, {"a"})


def test_the_grade_of_feedback_is_its_value_where_that_is_in_range() -> None:
    assert [interaction_grade(feedback("a", value)) for value in (-1.0, 0.3, None, 2.0)] == [-1.0, 0.3, 0.0, 0.0]
    assert interaction_grade(click()) == 1.0


def test_past_the_limit_the_oldest_page_closes_early() -> None:
    pages = Pages()
    for number in range(MAX_OPEN + 1):
        pages.observe_ranking(ranking(f"q{number}"))
    assert [page.ranking.id for page in pages.close(NOW)] == ["q0"]


def test_open_pages_can_be_restored() -> None:
    pages, restored = Pages(), Pages()
    pages.observe_ranking(ranking())
    pages.observe_interaction(click())
    restored.restore(pages.open())
    restored.observe_interaction(click(document_id="b"))
    assert restored.close(NOW + timedelta(hours=1))[0].clicked == {"a", "b"}
