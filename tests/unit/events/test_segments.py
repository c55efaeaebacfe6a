"""Which segments are valid."""

from __future__ import annotations

import pytest

from events.errors import InvalidInput
from events.rules import (
    Conditions,
    QueryPattern,
)
from events.segments import Segment, check_segment

TRADE = Conditions(user_segment="trade")


@pytest.mark.parametrize(
    ("segment", "field"),
    [
        (Segment(Conditions(), {"cosine": 1.0}), "conditions"),
        (Segment(TRADE, {}, priority=5000), "priority"),
        (Segment(Conditions(query=QueryPattern("contains", "x" * 500)), {}), "conditions.query.text"),
    ],
)
def test_an_invalid_segment_is_refused_and_the_error_names_the_member(segment: Segment, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_segment(segment)
    assert refused.value.field == field
