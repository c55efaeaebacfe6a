"""Reading the newest messages of a stream that is written meanwhile."""

from __future__ import annotations

import pytest

from events.errors import Unavailable
from events.log import Entry, Record, StreamState, read_newest
from events.streams import StreamName
from tests.changing import RewrittenLog

DRAFT = "drafts.shop.a"


def data_of(newest: dict[str, Record]) -> dict[str, bytes]:
    return {subject: record.data for subject, record in newest.items()}


@pytest.mark.anyio
async def test_a_subject_that_is_rewritten_during_the_read_is_still_found() -> None:
    log = RewrittenLog()
    await log.append("DRAFTS", Entry(DRAFT, b"first"))
    await log.append("DRAFTS", Entry("drafts.shop.b", b"other"))
    log.during_next_read = [Entry(DRAFT, b"second")]
    assert [record.data async for record in log.read("DRAFTS", subject=DRAFT)] == []
    log.during_next_read = [Entry(DRAFT, b"third"), Entry(DRAFT, b"fourth")]
    newest = await read_newest(log, "DRAFTS", "drafts.shop.*")
    assert data_of(newest) == {DRAFT: b"fourth", "drafts.shop.b": b"other"}


@pytest.mark.anyio
async def test_a_subject_that_was_never_written_has_no_message() -> None:
    log = RewrittenLog()
    assert await read_newest(log, "DRAFTS", DRAFT) == {}
    log.during_next_read = [Entry("drafts.shop.b", b"other")]
    assert await read_newest(log, "DRAFTS", DRAFT) == {}


class BusyLog(RewrittenLog):
    """Is written during every read."""

    async def stream_state(self, stream: StreamName) -> StreamState:
        self.during_next_read = [Entry(DRAFT, b"again")]
        return await super().stream_state(stream)


@pytest.mark.anyio
async def test_a_stream_that_is_written_during_every_read_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="faster than it can be read"):
        await read_newest(BusyLog(), "DRAFTS", DRAFT)
