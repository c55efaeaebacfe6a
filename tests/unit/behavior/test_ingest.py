"""Messages of other systems: recorded or in DEAD, acknowledged only then, and without a user's token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events import control
from events.codec import decode_behavior, encode
from events.control import ControlState
from events.errors import Unavailable
from events.log import Entry, Record
from events.memory import MemoryEventLog
from events.streams import StreamName
from events.types import IndexConfigured, InteractionRecorded
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.ingest import DURABLE, IngestConsumer
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from tests.factories import NOW, SETTINGS
from tests.unit.behavior.follower_node import dead_letters
from tuning.features import default_weights

pytestmark = pytest.mark.anyio
CONFIGURED = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)
SHOP = control.fold(ControlState(), CONFIGURED, 1)


class Ingest:
    """A consumer with what it needs, over one log."""

    def __init__(self, log: MemoryEventLog, folder: Path) -> None:
        self.log = log
        self.control = SHOP
        state = BehaviorState(n_rankings=10, n_events=100)
        self.keyring = Keyring(folder / KEYRING_NAME)
        self.writer = BehaviorWriter(log, state, outbox_size=10, before_write=self.keyring.ensure_stored)
        self.consumer = IngestConsumer(
            log, self.writer, state.rankings, self.keyring, lambda: self.control, DeadStore(log)
        )

    async def publish(self, payload: object, index: str = "shop") -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.log.append("INGEST", Entry(f"ingest.{index}", data))

    async def recorded(self) -> list[InteractionRecorded]:
        records = [record async for record in self.log.read("BEHAVIOR")]
        events = [event for record in records for event in decode_behavior(record.data).events]
        return [event for event in events if isinstance(event, InteractionRecorded)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.consumer.run()), asyncio.create_task(self.writer.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.keyring.close()

    async def until(self, n_recorded: int, n_dead: int) -> None:
        async with asyncio.timeout(60):
            while (len(await self.recorded()), len(await dead_letters(self.log))) != (n_recorded, n_dead):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0)


class RecordingDelivery:
    """A delivery that notes how many messages BEHAVIOR holds when it is acknowledged."""

    def __init__(self, log: MemoryEventLog, record: Record) -> None:
        self.record = record
        self.acknowledged = asyncio.Event()
        self.n_stored = 0
        self._log = log

    async def ack(self) -> None:
        self.n_stored = (await self._log.stream_state("BEHAVIOR")).last_seq
        self.acknowledged.set()


class OneDeliveryLog(MemoryEventLog):
    """Delivers one message of INGEST."""

    delivery: RecordingDelivery

    async def consume(self, stream: StreamName, durable: str) -> AsyncIterator[RecordingDelivery]:  # type: ignore[override]
        assert (stream, durable) == ("INGEST", DURABLE)
        yield self.delivery
        await asyncio.Event().wait()


async def test_an_event_is_acknowledged_after_it_is_recorded(tmp_path: Path) -> None:
    log = OneDeliveryLog()
    ingest = Ingest(log, tmp_path)
    payload = b'{"type":"click","document_id":"1","user_token":"anna"}'
    log.delivery = RecordingDelivery(log, Record("INGEST", "ingest.shop", 1, NOW, payload))
    async with ingest.running(), asyncio.timeout(60):
        await log.delivery.acknowledged.wait()
        (event,) = await ingest.recorded()
        assert (event.source, event.index, event.user) == ("nats", "shop", ingest.keyring.pseudonym("anna", NOW))
    assert log.delivery.n_stored == 1
    assert event.id.startswith("ingest-1-")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not json", "the payload is no event"),
        (b"\xff\xfe", "the payload is no event"),
        (b"[" * 5000, "the payload is no event"),
        ({"type": "clack", "document_id": "1"}, "the payload is no event"),
        ({"type": "click", "document_id": "1", "index": "other"}, "leave it out there"),
        ({"type": "click", "document_id": ""}, "document_id"),
    ],
)
async def test_an_invalid_event_is_in_dead_with_its_reason(tmp_path: Path, payload: object, reason: str) -> None:
    ingest = Ingest(MemoryEventLog(), tmp_path)
    await ingest.publish(payload)
    async with ingest.running():
        await ingest.until(0, 1)
    (refused,) = await dead_letters(ingest.log)
    assert reason in refused.reason
    assert refused.subject == "ingest.shop"


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "clack", "user_token": "secret-token"},
        {"events": [{"user_token": "secret-token"}]},
        {"type": "click", "user_token": {"id": "secret-token"}},
        b'{"type": "click", "user_token": "secret-token',
        b"user_token=secret-token&type=click",
    ],
)
async def test_a_refused_payload_holds_no_token(tmp_path: Path, payload: object) -> None:
    ingest = Ingest(MemoryEventLog(), tmp_path)
    await ingest.publish(payload)
    async with ingest.running():
        await ingest.until(0, 1)
    (refused,) = await dead_letters(ingest.log)
    assert "secret-token" not in refused.payload
    assert "user_token" in refused.payload


async def until_message_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until a message was neither recorded nor refused."""
    async with asyncio.timeout(60):
        while "ingest message 1 waits" not in caplog.text:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def test_an_event_of_a_missing_index_waits_while_control_is_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ingest = Ingest(MemoryEventLog(), tmp_path)
    await ingest.log.append("CONTROL", Entry("control.shop", encode(CONFIGURED)))
    ingest.control = ControlState()
    await ingest.publish({"type": "click", "document_id": "1", "id": "early"})
    async with ingest.running():
        await until_message_waits(caplog)
    assert await dead_letters(ingest.log) == []
    ingest = Ingest(ingest.log, tmp_path / "restarted")
    async with ingest.running():
        await ingest.until(1, 0)
    assert [event.id for event in await ingest.recorded()] == ["early"]


async def test_an_event_of_an_index_that_control_does_not_have_is_in_dead(tmp_path: Path) -> None:
    ingest = Ingest(MemoryEventLog(), tmp_path)
    await ingest.publish({"type": "click", "document_id": "1"}, index="nowhere")
    async with ingest.running():
        await ingest.until(0, 1)
    assert "there is no index 'nowhere'" in (await dead_letters(ingest.log))[0].reason


class AwayForBehavior(MemoryEventLog):
    """Raises Unavailable for appends to BEHAVIOR while `away` is set."""

    away = True

    async def append(self, stream: StreamName, entry: Entry, **expectations: int | None) -> int:
        if stream == "BEHAVIOR" and self.away:
            raise Unavailable("away")
        return await super().append(stream, entry, **expectations)


async def test_an_event_that_cannot_be_stored_is_delivered_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = AwayForBehavior()
    ingest = Ingest(log, tmp_path)
    await ingest.publish({"type": "click", "document_id": "1", "id": "later"})
    async with ingest.running():
        await until_message_waits(caplog)
    assert (await ingest.recorded(), await dead_letters(log)) == ([], [])
    log.away = False
    ingest = Ingest(log, tmp_path / "restarted")
    async with ingest.running():
        await ingest.until(1, 0)
