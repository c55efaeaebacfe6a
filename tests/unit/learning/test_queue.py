"""The queue of events that wait to be learnt from."""

from __future__ import annotations

import asyncio

import pytest

from searchsvc.learning.queue import MAX_WAITING, EventQueue, QueuedEvent
from tests.factories import click, ranking
from tuning.clicks.join import Clickthrough

pytestmark = pytest.mark.anyio


def test_a_ranking_that_is_handed_over_twice_counts_once() -> None:
    queue = EventQueue()
    assert [queue.put(ranking(), 1), queue.put(ranking(), 1), queue.put(ranking("q2"), 1)] == [True, False, True]
    assert queue.put(ranking(), 2), "another message"
    assert queue.take_all() == [QueuedEvent(1, ranking()), QueuedEvent(1, ranking("q2")), QueuedEvent(2, ranking())]
    assert queue.take_all() == []


def test_the_newest_position_never_falls() -> None:
    queue = EventQueue()
    for seq in (3, 7, 5):
        queue.note_position(seq)
    assert queue.newest_seq == 7


def full_queue() -> EventQueue:
    queue = EventQueue()
    for _ in range(MAX_WAITING + 1):
        queue.put(Clickthrough(None, click()), 1)
    return queue


async def test_a_full_queue_blocks_until_events_are_taken() -> None:
    queue = full_queue()
    waiting = asyncio.create_task(queue.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(queue.take_all()) == MAX_WAITING + 1
    await asyncio.wait_for(waiting, 60.0)
    await asyncio.wait_for(queue.wait_for_room(), 60.0)


async def test_a_closed_queue_neither_blocks_nor_grows() -> None:
    queue = full_queue()
    waiting = asyncio.create_task(queue.wait_for_room())
    await asyncio.sleep(0)
    queue.close()
    await asyncio.wait_for(waiting, 60.0)
    await asyncio.wait_for(queue.wait_for_room(), 60.0)
    assert not queue.put(ranking(), 2)
