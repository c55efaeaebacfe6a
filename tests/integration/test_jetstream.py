"""What only the JetStream adapter has: delivery with back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import nats
import pytest

from events import server
from events.errors import Unavailable
from events.jetstream.event_log import JetStreamEventLog, connect
from events.jetstream.reading import MAX_IN_FLIGHT
from events.log import Entry

pytestmark = pytest.mark.anyio
N = 4000


async def test_messages_that_the_reader_has_not_taken_yet_stay_on_the_server(nats_server: server.NatsServer) -> None:
    account = nats_server.address.accounts["service"]
    log = await connect(nats_server.address.url, user=account.user, password=account.password)
    await log.ensure_streams()
    for first in range(0, N, 500):
        await log.append_batch("CATALOG", [Entry(f"catalog.shop.1.{i}", b"x") for i in range(first, first + 500)])
    following = log.follow("CATALOG")
    assert (await anext(following)).seq == 1
    await asyncio.sleep(0.5)
    client = await nats.connect(nats_server.address.url, user=account.user, password=account.password)
    (consumer,) = await client.jetstream().consumers_info("CATALOG")
    assert consumer.num_pending is not None
    assert consumer.num_pending >= N - MAX_IN_FLIGHT
    await client.close()
    assert [(await anext(following)).seq for _ in range(N - 1)] == list(range(2, N + 1))
    await log.close()


async def test_before_it_is_connected_every_call_is_refused() -> None:
    log = JetStreamEventLog()
    entry = Entry("catalog.shop.1.a", b"x")
    calls: list[Awaitable[object]] = [
        log.append("CATALOG", entry),
        log.append_batch("CATALOG", [entry, entry]),
        log.position("CATALOG"),
        log.last_seq("CATALOG", entry.subject),
        log.n_waiting("INGEST", "x"),
        log.get("CATALOG", 1),
        log.last("CATALOG", [entry.subject]),
        anext(log.read("CATALOG")),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="the connection to NATS is lost"):
            await call
