"""The learners of a service: from events to SIGNALS, over restarts, and with what is to be ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from events.codec import decode_signal
from events.edits import SetLearning
from events.learning import Ignored, Learning
from events.tasks import end
from events.types import ExplorationLearnt
from tests.factories import NOW
from tests.unit.learning.learning_shop import LearningShop, learning_shop
from tuning.learners.behavior import MIN_USERS

pytestmark = pytest.mark.anyio


Factors = dict[tuple[str, str], float]


async def caught_up(shop: LearningShop, message: str, published: Callable[[Factors], bool] | None = None) -> None:
    """Run the learners until their last message begins so.

    published: what must hold of the published factors, too; a step that is cancelled publishes nothing
    """
    is_caught_up = asyncio.Event()
    is_caught_up.set()
    running = asyncio.create_task(shop.learners.run(is_caught_up))
    async with asyncio.timeout(60):
        while not await _is_caught_up(shop, message, published):  # noqa: ASYNC110 - no event tells of messages
            await asyncio.sleep(0.01)
    await end([running])


async def _is_caught_up(shop: LearningShop, message: str, published: Callable[[Factors], bool] | None) -> bool:
    has_said = (await shop.learners.status("shop")).message.startswith(message)
    return has_said and (published is None or published(await shop.factors()))


async def test_what_users_click_is_published_to_signals(tmp_path: Path) -> None:
    async with learning_shop(tmp_path) as shop:
        await shop.learners.step()
        await shop.show_clicks(2 * MIN_USERS)
        await shop.learners.step()
        factors = await shop.factors()
        assert factors["", "b"] > 1.2
        assert ("lamp", "b") in factors
        assert factors["", "a"] < 1.0, "it is shown as often, and no one clicks it"
        assert (await shop.learners.status("shop")).n_boosted > 0
        explorations = [
            event
            async for record in shop.shop.log.read("SIGNALS")
            if isinstance(event := decode_signal(record.data), ExplorationLearnt)
        ]
        assert [event.share for event in explorations] == [0.02]


async def test_an_index_that_begins_to_learn_reads_the_log(tmp_path: Path) -> None:
    async with learning_shop(tmp_path, Learning()) as shop:
        await shop.show_clicks(2 * MIN_USERS)
        await shop.learners.step()
        assert await shop.factors() == {}
        assert (await shop.learners.status("shop")).n_documents == 0
        await shop.set_learning("on", Learning(mode="automatic", max_boost=1.5))
        await caught_up(
            shop, f"relearnt from the log: {4 * MIN_USERS} events", lambda factors: factors.get(("", "b"), 1.0) > 1.2
        )


async def test_what_is_ignored_is_forgotten_and_taken_back(tmp_path: Path) -> None:
    async with learning_shop(tmp_path) as shop:
        await caught_up(shop, "relearnt from the log: 0 events")
        await shop.show_clicks(2 * MIN_USERS)
        await shop.learners.step()
        assert (await shop.factors())["", "b"] > 1.2
        window = Ignored(NOW - timedelta(days=1), NOW + timedelta(days=1))
        await shop.set_learning("forget", Learning(mode="automatic", max_boost=1.5, ignored=(window,)))
        message = f"relearnt from the log: {4 * MIN_USERS} events"
        await caught_up(shop, message, lambda factors: set(factors.values()) == {1.0})


async def test_learners_continue_from_a_snapshot(tmp_path: Path) -> None:
    async with learning_shop(tmp_path) as shop:
        incomplete = await shop.learners.state_parts()
        assert msgspec.msgpack.decode(incomplete) == {}, "a learner that has not read the log is not stored"
        await caught_up(shop, "relearnt from the log: 0 events")
        await shop.show_clicks(2 * MIN_USERS)
        state = await shop.learners.state_parts()
        before = await shop.learners.status("shop")
        restarted = shop.new_learners()
        restarted.restore(state)
        await restarted.step()
        after = await restarted.status("shop")
        assert after.n_documents == before.n_documents == 3
        assert after.n_boosted == before.n_boosted > 0
        restarted.close()
        with pytest.raises(msgspec.DecodeError):
            shop.learners.restore(b"no snapshot")


async def test_an_index_that_stops_learning_is_idle(tmp_path: Path) -> None:
    async with learning_shop(tmp_path) as shop:
        await shop.show_clicks(3)
        await shop.learners.step()
        assert (await shop.learners.status("shop")).n_documents == 3
        await shop.shop.change("off", SetLearning(Learning()))
        await shop.learners.step()
        assert (await shop.learners.status("shop")).n_documents == 0
