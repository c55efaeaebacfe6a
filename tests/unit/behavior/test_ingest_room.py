"""INGEST keeps what was not handled, makes room from what was, and says when it is full."""

from __future__ import annotations

import pytest

from events.errors import StorageFull
from events.log import Entry
from events.memory import MemoryEventLog
from searchsvc.behavior.ingest import DURABLE
from searchsvc.behavior.ingest_room import make_room
from tests.factories import SMALL

pytestmark = pytest.mark.anyio
SPEC = SMALL["INGEST"]


async def publish(log: MemoryEventLog, n: int) -> None:
    for _ in range(n):
        await log.append("INGEST", Entry("ingest.shop", b"x"))


async def handle(log: MemoryEventLog, n: int) -> None:
    n_handled = 0
    async for delivery in log.consume("INGEST", DURABLE):
        await delivery.ack()
        n_handled += 1
        if n_handled == n:
            return


async def test_what_was_handled_stays_while_there_is_room() -> None:
    log = MemoryEventLog(specs=SMALL)
    await publish(log, SPEC.max_messages // 2)
    await handle(log, 20)
    assert await make_room(log, SPEC) == ""
    assert (await log.stream_state("INGEST")).count == SPEC.max_messages // 2


async def test_what_was_handled_makes_room_past_half_of_the_limit() -> None:
    log = MemoryEventLog(specs=SMALL)
    await publish(log, SPEC.max_messages)
    await handle(log, 40)
    assert await make_room(log, SPEC) == ""
    stream_state = await log.stream_state("INGEST")
    assert (stream_state.first_seq, stream_state.count) == (41, SPEC.max_messages - 40)
    await publish(log, 40)


async def test_what_was_not_handled_stays_and_health_says_that_publishers_are_refused() -> None:
    log = MemoryEventLog(specs=SMALL)
    await publish(log, SPEC.max_messages - 1)
    assert "once it is full" in await make_room(log, SPEC)
    await publish(log, 1)
    assert "it is full, and what is published on ingest.* is refused" in await make_room(log, SPEC)
    with pytest.raises(StorageFull):
        await publish(log, 1)
    assert (await log.stream_state("INGEST")).count == SPEC.max_messages
    await handle(log, SPEC.max_messages)
    assert await make_room(log, SPEC) == ""
    assert (await log.stream_state("INGEST")).count == 0


async def test_large_messages_fill_it_too() -> None:
    log = MemoryEventLog(specs=SMALL)
    for _ in range(SPEC.max_bytes // 2000 - 1):
        await log.append("INGEST", Entry("ingest.shop", b"x" * 1900))
    assert "it is full" in await make_room(log, SPEC)
