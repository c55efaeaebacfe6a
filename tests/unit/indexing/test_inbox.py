"""The inbox of an indexer: bounded by number and by bytes, in order, nothing lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.log import Record
from events.sizes import MIB
from searchsvc.indexing.inbox import BATCH_BYTES, BATCH_DOCUMENTS, MAX_BYTES, MAX_DOCUMENTS, Batch, Inbox

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(seq: int, n_bytes: int = 10) -> Record:
    return Record("CATALOG", "catalog.shop.1.x", seq, NOW, b"x" * n_bytes)


async def put_until_full(inbox: Inbox, n_bytes: int) -> int:
    """Put messages of a size until the next has to wait; return how many were taken."""
    for n in range(10_000):
        try:
            async with asyncio.timeout(0.05):
                await inbox.put(record(n, n_bytes))
        except TimeoutError:
            return n
    raise AssertionError("it takes everything")


@pytest.mark.parametrize(
    ("n_bytes", "n_taken"), [(10, MAX_DOCUMENTS), (MAX_BYTES // 8, 8), (MAX_BYTES // 2 + 1, 1), (2 * MAX_BYTES, 1)]
)
async def test_a_full_inbox_takes_no_more(n_bytes: int, n_taken: int) -> None:
    assert await put_until_full(Inbox(), n_bytes) == n_taken


@pytest.mark.parametrize(
    ("n_bytes", "n_in_batch"), [(10, BATCH_DOCUMENTS), (BATCH_BYTES // 4, 4), (BATCH_BYTES // 4 + 1, 3), (MAX_BYTES, 1)]
)
async def test_a_batch_has_a_limited_number_and_size(n_bytes: int, n_in_batch: int) -> None:
    inbox = Inbox()
    writing = asyncio.create_task(put_until_full(inbox, n_bytes))
    await asyncio.sleep(0.01)
    if n_bytes < MAX_BYTES // 8:
        await asyncio.sleep(0.1)
    assert len(await inbox.take()) == n_in_batch
    await writing


async def test_what_was_waited_for_in_vain_is_not_lost() -> None:
    inbox = Inbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inbox.take()
    await inbox.put(record(1))
    assert [taken.seq for taken in await inbox.take()] == [1]


async def test_every_message_comes_out_in_order_whatever_the_sizes() -> None:
    inbox, seqs = Inbox(), list[int]()
    sizes = [1 + (7**n) % (3 * MIB) for n in range(60)]

    async def write() -> None:
        for seq, size in enumerate(sizes):
            await inbox.put(record(seq, size))

    writing = asyncio.create_task(write())
    while len(seqs) < len(sizes):
        seqs += [taken.seq for taken in await inbox.take()]
    await writing
    assert seqs == list(range(len(sizes)))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=20))
def test_a_batch_takes_at_least_one_message_and_never_more_than_its_limit(sizes: list[int]) -> None:
    batch = Batch()
    for seq, size in enumerate(sizes):
        if not batch.is_full_with(record(seq, size)):
            batch.add(record(seq, size))
    assert bool(batch.records) == bool(sizes)
    assert len(batch.records) == 1 or sum(len(taken.data) for taken in batch.records) <= BATCH_BYTES
