"""The end of a service: every part, in the reverse order of opening."""

from __future__ import annotations

from functools import partial

import pytest

from searchsvc.app.shutdown import Shutdown


@pytest.mark.anyio
async def test_parts_end_in_the_reverse_order_of_opening_although_one_fails() -> None:
    ended: list[str] = []
    shutdown = Shutdown()

    async def end(name: str) -> None:
        ended.append(name)
        if name == "log":
            raise OSError("the disk is full")

    shutdown.add_blocking(partial(ended.append, "server"))
    shutdown.add(partial(end, "log"))
    shutdown.add(partial(end, "indexers"))
    await shutdown.run()
    assert ended == ["indexers", "log", "server"]
    await shutdown.run()
    assert len(ended) == 3


@pytest.mark.anyio
async def test_a_shutdown_without_parts_does_nothing() -> None:
    await Shutdown().run()
