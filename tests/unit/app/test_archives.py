"""The log exported to a file and imported from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.codec import encode
from events.errors import Corrupt, InvalidInput
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, IndexConfigured
from searchsvc.app.archives import EXPORTED_STREAMS, export_log, import_archive
from tests.factories import NOW, SETTINGS, click

pytestmark = pytest.mark.anyio


async def new_log(n_changes: int = 3, n_clicks: int = 2) -> MemoryEventLog:
    log = MemoryEventLog()
    for seq in range(1, n_changes + 1):
        event = IndexConfigured(id=str(seq), timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
        await log.append("CONTROL", Entry("control.shop", encode(event)))
    for number in range(n_clicks):
        batch = BehaviorBatch(events=[click(f"e{number}", None)])
        await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(batch)))
    return log


async def contents(log: MemoryEventLog) -> list[tuple[str, bytes]]:
    return [(record.subject, record.data) for stream in EXPORTED_STREAMS async for record in log.read(stream)]


async def test_an_imported_log_equals_the_exported_one(tmp_path: Path) -> None:
    log, restored = await new_log(), MemoryEventLog()
    counts = await export_log(log, tmp_path / "log.ndjson", EXPORTED_STREAMS)
    assert (counts["CONTROL"], counts["BEHAVIOR"], counts["CATALOG"]) == (3, 2, 0)
    assert [file.name for file in tmp_path.iterdir()] == ["log.ndjson"]
    progress: list[int] = []
    assert await import_archive(restored, tmp_path, tmp_path / "log.ndjson", progress.append) == {
        "CONTROL": 3,
        "BEHAVIOR": 2,
    }
    assert await contents(restored) == await contents(log)
    assert progress == [1, 2, 3, 4, 5]


async def test_control_continues_where_the_log_ends(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    await export_log(await new_log(), file, ["CONTROL"])
    restored = await new_log(2, 0)
    assert await import_archive(restored, tmp_path, file) == {"CONTROL": 1}
    assert (await restored.stream_state("CONTROL")).last_seq == 3


async def test_another_control_message_than_in_the_archive_is_corrupt(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    await export_log(await new_log(), file, ["CONTROL"])
    other = MemoryEventLog()
    event = IndexConfigured(id="x", timestamp=NOW, index="films", settings=SETTINGS, default_weights={})
    await other.append("CONTROL", Entry("control.films", encode(event)))
    with pytest.raises(Corrupt, match="CONTROL 1 is another message"):
        await import_archive(other, tmp_path, file)


async def test_a_stream_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    log = await new_log()
    await export_log(log, file, ["BEHAVIOR"])
    with pytest.raises(InvalidInput, match="BEHAVIOR holds messages already") as refused:
        await import_archive(log, tmp_path, file)
    assert refused.value.field == "BEHAVIOR"


async def test_what_names_sequences_of_an_imported_stream_is_deleted(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    await export_log(await new_log(), file, EXPORTED_STREAMS)
    for name in ("behavior", "catalog", "indexes"):
        (tmp_path / name).mkdir()
    await import_archive(MemoryEventLog(), tmp_path, file)
    assert [(tmp_path / name).exists() for name in ("behavior", "catalog", "indexes")] == [False, True, True]
