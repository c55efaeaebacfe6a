"""What only the JetStream adapter has: delivery with back-pressure, limits of streams."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import nats
import pytest

from events import server
from events.errors import StorageFull, Unavailable
from events.jetstream.event_log import JetStreamEventLog, connect
from events.jetstream.reading import MAX_IN_FLIGHT
from events.log import Entry
from events.server_process import Account, Role, ServerSettings, server_config
from events.streams import STREAMS
from events.tasks import end
from searchsvc.behavior.ingest import DURABLE
from searchsvc.behavior.ingest_room import make_room
from tests.factories import SMALL

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
        log.stream_state("CATALOG"),
        log.last_seq("CATALOG", entry.subject),
        log.n_waiting("INGEST", "x"),
        log.get("CATALOG", 1),
        log.last("CATALOG", [entry.subject]),
        anext(log.read("CATALOG")),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="the connection to NATS is lost"):
            await call


async def test_streams_of_an_earlier_version_get_the_limits_of_this_one_and_lose_nothing(
    nats_server: server.NatsServer,
) -> None:
    account = nats_server.address.accounts["service"]
    unbounded = {name: msgspec.structs.replace(spec, max_bytes=0, max_messages=0) for name, spec in SMALL.items()}
    unbounded["INGEST"] = msgspec.structs.replace(unbounded["INGEST"], refuses_when_full=False)
    earlier = await connect(nats_server.address.url, user=account.user, password=account.password, specs=unbounded)
    await earlier.ensure_streams()
    for i in range(60):
        await earlier.append("INGEST", Entry("ingest.shop", b"x" * 1000))
        await earlier.append("DEAD", Entry(f"dead.nats.{i}", b"x" * 100))
    await earlier.close()
    log = await connect(nats_server.address.url, user=account.user, password=account.password, specs=SMALL)
    await log.ensure_streams()
    await log.ensure_streams()
    assert [(await log.stream_state(stream)).count for stream in ("INGEST", "DEAD")] == [60, 60]
    with pytest.raises(StorageFull):
        await log.append("INGEST", Entry("ingest.shop", b"x"))
    await log.close()


async def test_a_publisher_is_told_that_ingest_is_full(nats_server: server.NatsServer) -> None:
    service, ingest = (nats_server.address.accounts[role] for role in ("service", "ingest"))
    log = await connect(nats_server.address.url, user=service.user, password=service.password, specs=SMALL)
    await log.ensure_streams()
    publisher = await nats.connect(nats_server.address.url, user=ingest.user, password=ingest.password)
    for i in range(SMALL["INGEST"].max_messages):
        answer = json.loads((await publisher.request("ingest.shop", b"x")).data)
        assert (answer["stream"], answer["seq"]) == ("INGEST", i + 1)
    answer = json.loads((await publisher.request("ingest.shop", b"x")).data)
    assert answer["error"] == {"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}
    assert (await log.stream_state("INGEST")).last_seq == SMALL["INGEST"].max_messages
    await publisher.close()
    await log.close()


async def test_the_service_has_its_streams_on_a_disk_that_is_smaller_than_their_limits(tmp_path: Path) -> None:
    small = tmp_path / "store"
    settings = ServerSettings(small, {}, -1, -1, "/x")
    small.mkdir()
    accounts: dict[Role, Account] = {role: Account(role, "x") for role in ("service", "reader", "ingest")}
    config = server_config(msgspec.structs.replace(settings, accounts=accounts))
    (limit,) = re.findall(r"max_file_store: (\d+)", config)
    reserved = sum(spec.max_bytes for spec in STREAMS.values())
    assert int(limit) == shutil.disk_usage(small).total + reserved


async def test_ingest_makes_room_while_it_is_consumed_and_loses_nothing(nats_server: server.NatsServer) -> None:
    account = nats_server.address.accounts["service"]
    log = await connect(nats_server.address.url, user=account.user, password=account.password, specs=SMALL)
    await log.ensure_streams()
    n_published, handled = 5 * SMALL["INGEST"].max_messages, list[int]()

    async def publish() -> None:
        for i in range(n_published):
            while True:
                try:
                    await log.append("INGEST", Entry("ingest.shop", b"x", f"event {i}"))
                    break
                except StorageFull:
                    await asyncio.sleep(0.01)

    async def make_room_now_and_then() -> None:
        while True:
            await make_room(log, SMALL["INGEST"])
            await asyncio.sleep(0.01)

    publishing, making = asyncio.create_task(publish()), asyncio.create_task(make_room_now_and_then())
    async with asyncio.timeout(60):
        async for delivery in log.consume("INGEST", DURABLE):
            handled.append(delivery.record.seq)
            await delivery.ack()
            if len(handled) == n_published:
                break
        await publishing
    assert handled == list(range(1, n_published + 1))
    await end([making])
    await log.close()
