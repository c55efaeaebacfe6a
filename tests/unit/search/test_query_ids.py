"""Query ids state when they were made, and are unique."""

from __future__ import annotations

from datetime import timedelta

import pytest

from searchsvc.search.query_ids import new_query_id, query_id_timestamp
from tests.factories import NOW

QUERY_ID = new_query_id(NOW)


def test_query_ids_state_when_they_were_made_and_are_unique() -> None:
    query_ids = [new_query_id(NOW) for _ in range(1000)]
    assert len({*query_ids}) == 1000
    assert {query_id_timestamp(query_id) for query_id in query_ids} == {NOW}
    assert {(len(name), name[12], name[16] in "89ab") for name in query_ids} == {(32, "7", True)}
    assert new_query_id(NOW + timedelta(milliseconds=1)) > max(query_ids)


@pytest.mark.parametrize(
    "text",
    ["", "c" * 32, "x" * 32, QUERY_ID.upper(), "f" * 12 + "7" + "f" * 19],
    ids=["empty", "other version", "no hex", "upper case", "no time"],
)
def test_a_text_that_is_no_query_id_states_no_time(text: str) -> None:
    assert query_id_timestamp(text) is None
