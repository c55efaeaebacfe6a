"""An invalid policy is refused, and the error names the wrong member."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from events.errors import InvalidInput
from events.policies import Freeze, Policy, check_policy
from tests.factories import NOW

SALE = Freeze(since=NOW, until=NOW + timedelta(hours=1), reason="sale", exempt=("ops",))


def test_a_freeze_holds_from_its_first_moment_until_its_end() -> None:
    moments = (NOW - timedelta(seconds=1), NOW, SALE.until - timedelta(seconds=1), SALE.until)
    assert [SALE.holds(moment) for moment in moments] == [False, True, True, False]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"max_step": 0.0}, "max_step"),
        ({"max_step": float("inf")}, "max_step"),
        ({"approvals": 6}, "approvals"),
        ({"approvals": -1}, "approvals"),
        ({"freezes": (Freeze(since=NOW, until=NOW),)}, "freezes[0].until"),
        ({"freezes": (SALE, Freeze(since=NOW.replace(tzinfo=None), until=NOW))}, "freezes[1].from"),
        ({"freezes": (SALE,) * 101}, "freezes"),
        ({"publishers": {"rules": ()}}, "publishers.rules"),
        ({"publishers": {"rules": ("",)}}, "publishers.rules[0]"),
    ],
)
def test_a_policy_that_cannot_be_honoured_is_refused_with_its_member(members: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_policy(Policy(**members))
    assert refused.value.field == field
