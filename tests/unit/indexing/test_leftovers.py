"""What deleted indexes leave in the log goes after a day, and only that. It is no loss to any checkpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from events.codec import encode
from events.errors import Corrupt, Unavailable
from events.index_lives import IndexLives
from events.log import Entry, EventLog
from events.memory import MemoryEventLog
from events.snapshot import Snapshots, require_checkpoint, take_checkpoint
from events.streams import StreamName
from events.types import DocumentDeleted, IndexConfigured, IndexDeleted
from searchsvc.indexing.leftovers import GRACE_PERIOD, Leftovers
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights

pytestmark = pytest.mark.anyio


async def create(log: EventLog, index: str) -> int:
    weights = default_weights(SETTINGS)
    event = IndexConfigured(id="1", timestamp=NOW, index=index, settings=SETTINGS, default_weights=weights)
    return await log.append("CONTROL", Entry(f"control.{index}", encode(event)))


async def delete(log: EventLog, index: str) -> None:
    await log.append("CONTROL", Entry(f"control.{index}", encode(IndexDeleted(id="2", timestamp=NOW, index=index))))


async def write(log: EventLog, index: str, created_seq: int, *names: str) -> None:
    data = encode(DocumentDeleted(index=index, id="x"))
    for name in names:
        await log.append("CATALOG", Entry(f"catalog.{index}.{created_seq}.{name}", data))
        await log.append("SIGNALS", Entry(f"signals.{index}.{created_seq}.{name}.query", data))
    await log.append("SIGNALS", Entry(f"signals.{index}.{created_seq}", data))


async def lives_of(log: EventLog) -> IndexLives:
    lives = IndexLives()
    await lives.update(log)
    return lives


async def subjects(log: EventLog, stream: StreamName) -> list[str]:
    return [record.subject.partition(".")[2] async for record in log.read(stream)]


def later() -> datetime:
    return datetime.now(UTC) + GRACE_PERIOD + timedelta(minutes=1)


async def shop_after_films(log: EventLog) -> None:
    """Leave CATALOG and SIGNALS with a deleted index, another of its name, and a third one."""
    await write(log, "films", await create(log, "films"), "a", "b", "c")
    await delete(log, "films")
    await write(log, "films", await create(log, "films"), "d")
    await write(log, "shop", await create(log, "shop"), "e")


async def test_messages_of_a_deleted_index_go_and_those_of_others_stay(event_log: EventLog) -> None:
    await shop_after_films(event_log)
    await Leftovers(event_log, later).remove()
    assert await subjects(event_log, "CATALOG") == ["films.3.d", "shop.4.e"]
    assert await subjects(event_log, "SIGNALS") == ["films.3.d.query", "films.3", "shop.4.e.query", "shop.4"]
    await Leftovers(event_log, later).remove()
    assert (await event_log.stream_state("CATALOG")).last_seq == 5


async def test_messages_stay_for_a_day_after_the_deletion(event_log: EventLog) -> None:
    await shop_after_films(event_log)
    await Leftovers(event_log).remove()
    assert (await event_log.stream_state("CATALOG")).count == 5
    await Leftovers(event_log, lambda: datetime.now(UTC) + GRACE_PERIOD - timedelta(minutes=1)).remove()
    assert (await event_log.stream_state("CATALOG")).count == 5


async def test_the_newest_message_of_a_stream_stays_until_another_follows(event_log: EventLog) -> None:
    await write(event_log, "films", await create(event_log, "films"), "a", "b")
    await delete(event_log, "films")
    leftovers = Leftovers(event_log, later)
    await leftovers.remove()
    assert await subjects(event_log, "CATALOG") == ["films.1.b"]
    await write(event_log, "shop", await create(event_log, "shop"), "c")
    await leftovers.remove()
    assert await subjects(event_log, "CATALOG") == ["shop.3.c"]


async def test_a_removal_is_no_loss_to_a_checkpoint_before_it(event_log: EventLog) -> None:
    films = await create(event_log, "films")
    await write(event_log, "films", films, "a", "b", "c")
    shop = await create(event_log, "shop")
    await write(event_log, "shop", shop, "d", "e")
    before_deletion = await take_checkpoint(event_log, "CATALOG", await lives_of(event_log))
    await delete(event_log, "films")
    after_deletion = await take_checkpoint(event_log, "CATALOG", await lives_of(event_log))
    await Leftovers(event_log, later).remove()
    after_removal = await take_checkpoint(event_log, "CATALOG", await lives_of(event_log))
    for checkpoint in (before_deletion, after_deletion, after_removal):
        await require_checkpoint(event_log, checkpoint, NOW)
    assert (after_deletion.count, after_removal.count) == (5, 2)


async def test_a_loss_of_another_index_is_found_in_spite_of_a_removal() -> None:
    log = MemoryEventLog()
    await shop_after_films(log)
    checkpoint = await take_checkpoint(log, "CATALOG", await lives_of(log))
    await Leftovers(log, later).remove()
    log.lose("CATALOG", 4)
    with pytest.raises(Corrupt, match="at least 1 are missing"):
        await require_checkpoint(log, checkpoint, NOW)


async def test_a_loss_of_a_deleted_index_is_no_loss_and_one_of_an_index_that_exists_is() -> None:
    log = MemoryEventLog()
    await shop_after_films(log)
    checkpoint = await take_checkpoint(log, "CATALOG", await lives_of(log))
    log.lose("CATALOG", 1)
    await require_checkpoint(log, checkpoint, NOW)
    log.lose("CATALOG", 5)
    with pytest.raises(Corrupt, match="at least 1 are missing"):
        await require_checkpoint(log, checkpoint, NOW)


async def test_a_checkpoint_of_an_earlier_version_is_read_and_knows_no_removal(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await shop_after_films(log)
    checkpoint = await take_checkpoint(log, "CATALOG", await lives_of(log))
    earlier = msgspec.structs.replace(checkpoint, counts=msgspec.UNSET)
    snapshots = Snapshots(tmp_path, 1)
    path = snapshots.save(earlier, {})
    assert b"counts" not in path.read_bytes(), "as an earlier version wrote it, seal and all"
    assert snapshots.checkpoint() == earlier
    await Leftovers(log, later).remove()
    await require_checkpoint(log, earlier, NOW)


class EndedInBetween(MemoryEventLog):
    """Fails at the second purge, as if the service had ended."""

    n_purges = 0

    async def purge(self, stream: StreamName, *, through: int, subject: str | None = None) -> None:
        self.n_purges += 1
        if self.n_purges == 2:
            raise Unavailable("ended")
        await super().purge(stream, through=through, subject=subject)


async def test_a_removal_that_ended_in_between_is_finished_by_the_next_start() -> None:
    log = EndedInBetween()
    await shop_after_films(log)
    checkpoint = await take_checkpoint(log, "CATALOG", await lives_of(log))
    with pytest.raises(Unavailable):
        await Leftovers(log, later).remove()
    await require_checkpoint(log, checkpoint, NOW)
    await Leftovers(log, later).remove()
    assert await subjects(log, "CATALOG") == ["films.3.d", "shop.4.e"]
    assert await subjects(log, "SIGNALS") == ["films.3.d.query", "films.3", "shop.4.e.query", "shop.4"]
    await require_checkpoint(log, checkpoint, NOW)
