"""Prefixes of the parts of a snapshot, and the limit on what is remembered."""

from __future__ import annotations

from collections import OrderedDict

from tuning.online.parts import MAX_REMEMBERED, drop_oldest, under_prefix, with_prefix


def test_parts_under_a_prefix_are_those_that_were_put_there() -> None:
    parts = {"a": b"1", "b": b"2"}
    together = with_prefix("x.", parts.items()) | with_prefix("y.", [("a", b"3")])
    assert under_prefix("x.", together) == parts
    assert under_prefix("y.", together) == {"a": b"3"}


def test_the_oldest_entries_past_the_limit_are_dropped() -> None:
    remembered = OrderedDict((number.to_bytes(4), None) for number in range(MAX_REMEMBERED + 2))
    drop_oldest(remembered)
    assert len(remembered) == MAX_REMEMBERED
    assert next(iter(remembered)) == (2).to_bytes(4)
