"""Dead letters take no more than their limit, and what is removed is counted, whatever happens in between."""

from __future__ import annotations

import pytest

from events.codec import encode
from events.errors import Unavailable
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import DROPPED_SUBJECT, StreamName
from events.types import EventRefused
from searchsvc.behavior.dead_store import DeadStore
from tests.factories import NOW
from tests.unit.behavior.follower_node import dead_letters

pytestmark = pytest.mark.anyio
MAX_BYTES = 20_000


def refusal(number: int, source: str = "nats") -> EventRefused:
    return EventRefused(
        id=f"e{number}", timestamp=NOW, source=source, subject="ingest.shop", reason="because", payload="x" * 800
    )


async def fill(store: DeadStore, log: MemoryEventLog) -> int:
    """Refuse events until the next one has to make room; return how many."""
    n_refused = 0
    while (await log.stream_state("DEAD")).size_bytes <= MAX_BYTES:
        await store.refuse(refusal(n_refused))
        n_refused += 1
    return n_refused


async def test_at_the_limit_nothing_is_removed() -> None:
    log = MemoryEventLog()
    store = DeadStore(log, max_bytes=MAX_BYTES)
    n_refused = await fill(store, log)
    assert len(await dead_letters(log)) == n_refused
    assert (await store.dropped()).n_dropped == 0


async def test_past_the_limit_the_oldest_are_removed_and_counted() -> None:
    log = MemoryEventLog()
    store = DeadStore(log, max_bytes=MAX_BYTES)
    for number in range(100):
        await store.refuse(refusal(number))
    assert (await log.stream_state("DEAD")).size_bytes <= MAX_BYTES + 1500
    kept = [event.id for event in await dead_letters(log)]
    n_dropped = (await store.dropped()).n_dropped
    assert kept == [f"e{number}" for number in range(n_dropped, 100)]
    assert (await DeadStore(log).dropped()).n_dropped == n_dropped, "a later start knows it too"


async def test_what_was_replayed_is_no_loss() -> None:
    log = MemoryEventLog()
    store = DeadStore(log, max_bytes=MAX_BYTES)
    n_refused = await fill(store, log)
    for number in range(n_refused):
        await store.replay(refusal(number), "again")
    for number in range(100, 200):
        await store.refuse(refusal(number))
    dropped = await store.dropped()
    assert dropped.n_dropped == 100 - len(await dead_letters(log))


class EndedBeforePurge(MemoryEventLog):
    """Fails once when messages are purged, as a service does that ends in between."""

    failures = 1

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("ended")
        await super().purge(stream, through=through, subject=subject)


async def test_a_service_that_ends_before_the_removal_counts_nothing_twice() -> None:
    log = EndedBeforePurge()
    store = DeadStore(log, max_bytes=MAX_BYTES)
    n_refused = await fill(store, log)
    with pytest.raises(Unavailable):
        await store.refuse(refusal(1000))
    counted = (await store.dropped()).n_dropped
    assert counted > 0
    assert len(await dead_letters(log)) == n_refused
    again = DeadStore(log, max_bytes=MAX_BYTES)
    await again.refuse(refusal(1000))
    assert (await again.dropped()).n_dropped == counted
    assert len(await dead_letters(log)) == n_refused - counted + 1


async def test_letters_that_were_imported_after_a_removal_stay() -> None:
    log = MemoryEventLog()
    store = DeadStore(log, max_bytes=MAX_BYTES)
    for number in range(40):
        await store.refuse(refusal(number))
    n_dropped = (await store.dropped()).n_dropped
    imported = MemoryEventLog()
    async for record in log.read("DEAD"):
        await imported.append("DEAD", Entry(record.subject, record.data, record.msg_id))
    store = DeadStore(imported, max_bytes=MAX_BYTES)
    for number in range(40, 80):
        await store.refuse(refusal(number))
    assert (await store.dropped()).n_dropped > n_dropped
    assert (await store.dropped()).n_dropped + len(await dead_letters(imported)) == 80


async def test_messages_that_cannot_be_read_do_not_stop_the_removal() -> None:
    log = MemoryEventLog()
    await log.append("DEAD", Entry("dead.nats.broken", b"no event"))
    await log.append("DEAD", Entry("dead.nats.later", b'{"type":"event_sealed.v1"}'))
    store = DeadStore(log, max_bytes=MAX_BYTES)
    for number in range(40):
        await store.refuse(refusal(number))
    assert (await store.dropped()).n_dropped + len(await dead_letters(log)) == 42


async def test_of_two_services_that_make_room_one_counts() -> None:
    log = MemoryEventLog()
    first, second = (DeadStore(log, max_bytes=MAX_BYTES) for _ in range(2))
    for number in range(100):
        await (first, second)[number % 2].refuse(refusal(number))
    assert (await first.dropped()).n_dropped + len(await dead_letters(log)) == 100
    assert await log.last_seq("DEAD", DROPPED_SUBJECT)
    assert encode(await first.dropped()) == encode(await second.dropped())
