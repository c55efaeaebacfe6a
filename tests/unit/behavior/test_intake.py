"""What is accepted as an interaction, and which member is named if it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from events.errors import InvalidInput
from events.types import InteractionRecorded
from searchsvc.behavior.intake import EventInput, check_interaction
from searchsvc.behavior.recent_rankings import RecentRankings
from tests.factories import NOW, ranking


def check(*, index: str = "shop", **members: Any) -> InteractionRecorded:
    event = EventInput(**{"type": "click", "document_id": "b", **members})
    rankings = RecentRankings(10)
    rankings.add(ranking("q1"))
    return check_interaction(
        event,
        index=index,
        now=NOW,
        source="http",
        default_id="made",
        rankings=rankings,
        pseudonym=lambda token: f"<{token}>",
    )


def test_absent_members_take_their_defaults_and_the_token_becomes_a_pseudonym() -> None:
    recorded = check(user_token="anna")
    assert (recorded.id, recorded.timestamp, recorded.received_at) == ("made", NOW, NOW)
    assert (recorded.user, recorded.source, recorded.query_id, recorded.rank) == ("<anna>", "http", None, None)


def test_what_the_sender_gave_is_recorded_with_the_time_in_utc() -> None:
    local = (NOW - timedelta(hours=1)).astimezone(timezone(timedelta(hours=2)))
    recorded = check(id="e1", query_id="q1", rank=2, timestamp=local, value=3.5)
    assert (recorded.id, recorded.query_id, recorded.rank, recorded.value) == ("e1", "q1", 2, 3.5)
    assert (recorded.timestamp, recorded.timestamp.tzinfo) == (NOW - timedelta(hours=1), UTC)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"index": "No Index"}, "index"),
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"query_id": ""}, "query_id"),
        ({"document_id": ""}, "document_id"),
        ({"document_id": "ä" * 257}, "document_id"),
        ({"rank": 0}, "rank"),
        ({"user_token": "x" * 130}, "user_token"),
        ({"value": float("nan")}, "value"),
        ({"type": "feedback"}, "value"),
        ({"type": "feedback", "value": 1.5}, "value"),
        ({"timestamp": datetime(2026, 1, 2)}, "timestamp"),  # noqa: DTZ001 - without a zone on purpose
        ({"timestamp": NOW - timedelta(days=4, seconds=1)}, "timestamp"),
        ({"timestamp": NOW + timedelta(hours=1, seconds=1)}, "timestamp"),
        ({"query_id": "q1", "document_id": "z"}, "document_id"),
        ({"query_id": "q1", "rank": 1}, "rank"),
        ({"query_id": "q1", "index": "films"}, "index"),
    ],
)
def test_the_first_member_that_is_wrong_is_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(**members)
    assert refused.value.field == field


def test_a_ranking_that_is_not_here_contradicts_nothing() -> None:
    assert check(query_id="unseen", document_id="z", rank=99).query_id == "unseen"
