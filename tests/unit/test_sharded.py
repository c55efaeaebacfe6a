"""A mapping of which another one is made quickly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from searchsvc.state.sharded_mapping import ShardedMapping

NAMES = st.text(max_size=3)


@given(st.lists(st.dictionaries(NAMES, st.one_of(st.none(), st.integers()), max_size=6), max_size=5))
def test_it_is_what_a_dict_would_be_and_what_was_before_stays_as_it_was(changes: list[dict[str, int | None]]) -> None:
    now, plain = ShardedMapping[int](), dict[str, int]()
    for some in changes:
        before, then = now, dict(now)
        now = now.with_changes(some)
        plain = {name: value for name, value in {**plain, **some}.items() if value is not None}
        assert dict(now) == plain
        assert dict(before) == then
        assert (len(now), bool(now)) == (len(plain), bool(plain))
        assert all(now.get(name) == plain.get(name) for name in some)
        assert now == plain
