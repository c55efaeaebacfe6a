"""How many searches may be in progress."""

from __future__ import annotations

import pytest

from events.errors import Unavailable
from searchsvc.execution.load import SearchLoad


def test_a_search_beyond_the_limit_is_refused_until_another_ends() -> None:
    load = SearchLoad(max_waiting=2)
    with load.counted():
        with load.counted():
            assert load.n_searching == 2
            with pytest.raises(Unavailable, match="2 searches are in progress") as refused:
                load.require_room()
            assert refused.value.retry_after_s is not None
        load.require_room()
    assert load.n_searching == 0


@pytest.mark.anyio
async def test_less_than_half_of_the_allowed_searches_is_quiet() -> None:
    load = SearchLoad(max_waiting=4)
    with load.counted():
        await load.wait_until_quiet()
