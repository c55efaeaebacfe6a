"""Writing, reading and deleting documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from events.codec import decode_catalog, encode
from events.errors import InvalidInput, NotFound, StorageFull, Unavailable
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import StreamName, catalog_subject
from events.types import DocumentDeleted, DocumentUpserted
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.service.documents import Documents
from tests.changing import ADA, ChangingShop, changing_shop
from tests.factories import engine, upsert


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[ChangingShop]:
    async with changing_shop(tmp_path) as changing:
        yield changing


def use_case(shop: ChangingShop, catalog_log: MemoryEventLog | None = None) -> Documents:
    """catalog_log: the log that documents go to; None for the shop's"""
    return Documents(catalog_log or shop.log, shop.serving, shop.commands, ThreadPoolExecutor(1), lambda: None)


async def catalog(shop: ChangingShop) -> list[object]:
    return [decode_catalog(record.data) async for record in shop.log.read("CATALOG")]


@pytest.mark.anyio
async def test_valid_lines_are_written_and_the_others_refused_by_line(shop: ChangingShop) -> None:
    body = b'{"id":"a","title":"red"}\nnot json\n\n{"id":"b","votes":"many"}\n{"id":"c","title":"blue"}'
    written = await use_case(shop).write("shop", body, ADA)
    assert (written.accepted, written.catalog_seq, written.created) == (2, 2, None)
    assert [(refused.line, refused.id) for refused in written.refused] == [(2, None), (4, "b")]
    assert [event.id for event in await catalog(shop) if isinstance(event, DocumentUpserted)] == ["a", "c"]


@pytest.mark.anyio
async def test_a_missing_index_is_created_from_its_first_documents(shop: ChangingShop) -> None:
    written = await use_case(shop).write("zoo", b'{"id":"1","title":"Blue whale"}', ADA)
    assert written.created is not None
    assert shop.serving.current.control.index("zoo").settings == written.created
    with pytest.raises(InvalidInput, match=r"no valid document to infer its settings from \(line 1: "):
        await use_case(shop).write("other", b"not json", ADA)
    with pytest.raises(InvalidInput, match="the body is empty"):
        await use_case(shop).write("other", b"", ADA)


@pytest.mark.anyio
async def test_a_served_document_is_read_as_it_was_written_and_deleted_by_an_event(
    shop: ChangingShop, tmp_path: Path
) -> None:
    snapshot = engine(tmp_path / "index", [upsert("a/b", "red shoe")]).snapshot()
    await shop.serving.set_snapshot("shop", shop.index.created_seq, snapshot)
    assert msgspec.json.decode(await use_case(shop).get("shop", "a/b"))["title"] == "red shoe"
    assert await use_case(shop).delete("shop", "a/b") == 1
    assert await catalog(shop) == [DocumentDeleted(index="shop", id="a/b")]
    for call in (use_case(shop).get, use_case(shop).delete):
        with pytest.raises(NotFound, match="index shop has no document 'nope'"):
            await call("shop", "nope")


class FlakyLog(MemoryEventLog):
    """Records the message ids of every batch. Raises `error` once after it was set, like a lost answer."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.error: Exception | None = None

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        self.batches.append([entry.msg_id for entry in entries])
        seq = await super().append_batch(stream, entries)
        error, self.error = self.error, None
        if error is not None:
            raise error
        return seq


@pytest.mark.anyio
async def test_a_batch_whose_answer_was_lost_is_sent_again_under_its_ids(shop: ChangingShop) -> None:
    log = FlakyLog()
    log.error = Unavailable("the answer was lost")
    written = await use_case(shop, log).write("shop", b'{"id":"a","title":"red"}', ADA)
    assert written.catalog_seq == 1
    assert log.batches[0] == log.batches[1]
    assert (await log.stream_state("CATALOG")).count == 1


@pytest.mark.anyio
async def test_a_full_disk_is_reported_and_not_tried_again(shop: ChangingShop) -> None:
    log = FlakyLog()
    log.error = StorageFull("the disk is full", retry_after_s=1.0)
    with pytest.raises(StorageFull):
        await use_case(shop, log).write("shop", b'{"id":"b","title":"red"}', ADA)
    assert len(log.batches) == 1


class ServedAtOnce(MemoryEventLog):
    """Serves what a batch holds before its append returns, as a fast indexer may. after: of the batch"""

    def __init__(self, shop: ChangingShop, after: EngineSnapshot) -> None:
        super().__init__()
        self._shop, self._after = shop, after

    async def append_batch(self, stream: StreamName, entries: Sequence[Entry]) -> int:
        seq = await super().append_batch(stream, entries)
        await self._shop.serving.set_snapshot("shop", self._shop.index.created_seq, self._after)
        return seq


@pytest.mark.anyio
async def test_a_new_member_is_named_also_if_its_document_is_served_at_once(shop: ChangingShop, tmp_path: Path) -> None:
    before = engine(tmp_path / "before", [upsert("a", "red")]).snapshot()
    after = engine(tmp_path / "after", [upsert("a", "red"), upsert("b", "red", note="new")]).snapshot()
    for change in ("write", "patch"):
        await shop.serving.set_snapshot("shop", shop.index.created_seq, before)
        log = ServedAtOnce(shop, after)
        stored = DocumentUpserted(index="shop", id="b", document=msgspec.Raw(b'{"id":"b"}'))
        await MemoryEventLog.append_batch(log, "CATALOG", [Entry(catalog_subject("shop", 1, "b"), encode(stored))])
        documents, body = use_case(shop, log), b'{"id":"b","note":"new"}'
        written = await (documents.write("shop", body, ADA) if change == "write" else documents.patch("shop", body))
        assert written.accepted == 1
        assert [warning.field for warning in written.warnings] == ["note"], change


@pytest.mark.anyio
async def test_many_bytes_are_written_in_several_batches(shop: ChangingShop) -> None:
    log = FlakyLog()
    lines = [msgspec.json.encode({"id": str(i), "title": "x" * 900_000}) for i in range(6)]
    written = await use_case(shop, log).write("shop", b"\n".join(lines), ADA)
    assert (written.accepted, written.catalog_seq) == (6, 6)
    assert [len(batch) for batch in log.batches] == [4, 2]
