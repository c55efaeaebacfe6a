"""Dead letters: listed, replayed once, and refused again while the cause is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from events import control
from events.codec import decode_behavior
from events.control import ControlState
from events.errors import InvalidInput
from events.memory import MemoryEventLog
from events.types import EventRefused, IndexConfigured, InteractionRecorded
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.runtime.pages import MAX_PAGE_BYTES, MAX_PAGE_ITEMS
from tests.factories import NOW, SETTINGS, click, ranking
from tuning.features import default_weights

pytestmark = pytest.mark.anyio
CONFIGURED = IndexConfigured(
    id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
)


def refusal(event_id: str, payload: str, *, source: str = "nats", index: str = "shop", key: str = "") -> EventRefused:
    return EventRefused(
        id=event_id,
        timestamp=NOW,
        source=source,
        subject=f"ingest.{index}",
        reason="because",
        field="",
        payload=payload,
        key=key or event_id,
    )


class Dead:
    """Dead letters over a log in memory."""

    def __init__(self, folder: Path) -> None:
        self.log = MemoryEventLog()
        self.control = ControlState()
        self.state = BehaviorState(n_rankings=10, n_events=100)
        self.keyring = Keyring(folder / KEYRING_NAME)
        self.writer = BehaviorWriter(self.log, self.state, outbox_size=10)
        self.store = DeadStore(self.log)
        self.letters = DeadLetters(
            self.log, self.writer, self.state.rankings, self.keyring, lambda: self.control, self.store
        )

    async def recorded(self) -> list[InteractionRecorded]:
        records = [record async for record in self.log.read("BEHAVIOR")]
        events = [event for record in records for event in decode_behavior(record.data).events]
        return [event for event in events if isinstance(event, InteractionRecorded)]


@pytest.fixture
async def dead(tmp_path: Path) -> AsyncIterator[Dead]:
    made = Dead(tmp_path)
    running = asyncio.create_task(made.writer.run())
    yield made
    made.writer.close()
    await running
    made.keyring.close()


async def test_letters_are_listed_oldest_first_by_index_and_key(dead: Dead) -> None:
    for event in (refusal("a", "{}"), refusal("b", "{}", index="films"), refusal("c", "{}", key="q1")):
        await dead.store.refuse(event)
    await dead.store.refuse(refusal("a", "{}"))
    letters = (await dead.letters.page()).letters
    assert [(letter.seq, letter.refused.id) for letter in letters] == [(1, "a"), (2, "b"), (3, "c")], "each once"
    assert [letter.refused.id for letter in (await dead.letters.page(index="films")).letters] == ["b"]
    assert [letter.refused.id for letter in (await dead.letters.page(key="q1")).letters] == ["c"]


async def test_a_replay_records_the_good_events_and_names_the_others(dead: Dead) -> None:
    await dead.store.refuse(refusal("good", '{"type":"click","document_id":"1"}'))
    await dead.store.refuse(refusal("bad", "no event"))
    replayed = await dead.letters.replay(ids=[])
    assert (replayed.n_replayed, [event.id for event in replayed.still_refused]) == (0, ["good", "bad"])
    assert "no index 'shop'" in replayed.still_refused[0].reason
    dead.control = control.fold(ControlState(), CONFIGURED, 1)
    replayed = await dead.letters.replay(ids=[])
    assert (replayed.n_replayed, [event.id for event in replayed.still_refused]) == (1, ["bad"])
    assert "the payload is no event" in replayed.still_refused[0].reason
    (event,) = await dead.recorded()
    assert (event.id, event.replay_of, event.source) == ("good.r1", "good", "nats")
    assert [letter.refused.id for letter in (await dead.letters.page()).letters] == ["bad"]


async def test_a_replayed_orphan_waits_again_under_a_new_id(dead: Dead) -> None:
    orphan = click("lonely", "q9")
    payload = msgspec.json.encode(orphan).decode()
    await dead.store.refuse(refusal("lonely", payload, source="join", key="q9"))
    assert (await dead.letters.replay(ids=["lonely"])).n_replayed == 1
    (event,) = await dead.recorded()
    assert (event.id, event.query_id, event.replay_of) == ("lonely.r1", "q9", "lonely")
    assert event.received_at > orphan.received_at


async def test_a_replay_is_checked_against_the_ranking_it_names(dead: Dead) -> None:
    dead.control = control.fold(ControlState(), CONFIGURED, 1)
    dead.state.rankings.add(ranking("q1"))
    await dead.store.refuse(refusal("a", '{"type":"click","document_id":"z","query_id":"q1"}'))
    replayed = await dead.letters.replay(ids=["a"])
    assert "did not show document 'z'" in replayed.still_refused[0].reason


async def test_an_id_that_is_not_in_dead_is_refused(dead: Dead) -> None:
    with pytest.raises(InvalidInput, match="DEAD has no event 'nobody'") as refused:
        await dead.letters.replay(ids=["nobody"])
    assert refused.value.field == "ids"


async def test_pages_are_bounded_by_number_and_go_on_where_they_ended(dead: Dead) -> None:
    for number in range(5):
        await dead.store.refuse(refusal(f"e{number}", "{}"))
    ids, after = list[list[str]](), 0
    while True:
        page = await dead.letters.page(after=after, limit=2)
        ids.append([letter.refused.id for letter in page.letters])
        if page.next_after is None:
            break
        after = page.next_after
    assert ids == [["e0", "e1"], ["e2", "e3"], ["e4"]]


async def test_pages_are_bounded_by_bytes(dead: Dead) -> None:
    payload = "x" * (MAX_PAGE_BYTES // 3)
    for number in range(4):
        await dead.store.refuse(refusal(f"e{number}", payload))
    first = await dead.letters.page()
    assert [letter.refused.id for letter in first.letters] == ["e0", "e1"]
    second = await dead.letters.page(after=first.next_after or 0)
    assert ([letter.refused.id for letter in second.letters], second.next_after) == (["e2", "e3"], None)


@pytest.mark.parametrize(("field", "value"), [("after", -1), ("limit", 0), ("limit", MAX_PAGE_ITEMS + 1)])
async def test_a_page_out_of_its_limits_is_refused(dead: Dead, field: str, value: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await dead.letters.page(**{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_a_replay_goes_on_past_a_page_of_events_that_stay_refused(dead: Dead) -> None:
    dead.control = control.fold(ControlState(), CONFIGURED, 1)
    payload = "x" * (MAX_PAGE_BYTES // 3)
    for number in range(2):
        await dead.store.refuse(refusal(f"bad{number}", payload))
    await dead.store.refuse(refusal("wide", payload))
    await dead.store.refuse(refusal("good", '{"type":"click","document_id":"1"}'))
    first = await dead.letters.replay(ids=[])
    assert (first.n_replayed, len(first.still_refused), first.next_after) == (0, 2, 2)
    second = await dead.letters.replay(ids=[], after=first.next_after or 0)
    assert (second.n_replayed, len(second.still_refused), second.next_after) == (1, 1, None)
    assert (await dead.letters.replay(ids=["bad0", "wide"])).next_after is None
