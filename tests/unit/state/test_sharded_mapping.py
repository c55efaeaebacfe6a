"""A mapping of which a changed copy is made quickly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from searchsvc.state.sharded_mapping import ShardedMapping

KEYS = st.text(max_size=3)


@given(st.lists(st.dictionaries(KEYS, st.one_of(st.none(), st.integers()), max_size=6), max_size=5))
def test_it_equals_a_dict_and_copies_leave_the_original_unchanged(changes: list[dict[str, int | None]]) -> None:
    mapping, expected = ShardedMapping[int](), dict[str, int]()
    for change in changes:
        before, copy = mapping, dict(mapping)
        mapping = mapping.with_changes(change)
        expected = {key: value for key, value in {**expected, **change}.items() if value is not None}
        assert dict(mapping) == expected
        assert dict(before) == copy
        assert (len(mapping), bool(mapping)) == (len(expected), bool(expected))
        assert all(mapping.get(key) == expected.get(key) for key in change)
        assert mapping == expected
