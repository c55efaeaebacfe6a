"""`events tail` holds the last messages of a stream, and no more of them than its limit in bytes."""

from __future__ import annotations

import pytest

from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import StreamName
from searchsvc.cli.event_lines import EventPrinter
from searchsvc.cli.events import MAX_RECENT_BYTES, recent

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("last", "n_bytes", "seqs"),
    [(0, 10, []), (2, 10, [5, 6]), (9, 10, [1, 2, 3, 4, 5, 6]), (9, MAX_RECENT_BYTES // 4, [3, 4, 5, 6])],
)
async def test_the_last_messages_are_shown_within_their_limit(last: int, n_bytes: int, seqs: list[int]) -> None:
    log, positions = MemoryEventLog(), dict[StreamName, int]()
    for number in range(6):
        await log.append("DEAD", Entry(f"dead.nats.{number}", b"x" * n_bytes))
    shown = await recent(log, ("DEAD",), last, EventPrinter(as_json=False, keyring=None), positions)
    assert [record.seq for record in shown] == seqs
    assert positions == {"DEAD": 6}
