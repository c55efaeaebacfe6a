"""An index that learns: CONTROL, BEHAVIOR, SIGNALS and DRAFTS in memory, under a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from events.codec import decode_signal, encode
from events.control import ControlState
from events.edits import SetLearning
from events.learning import Learning
from events.log import Entry
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent, InteractionRecorded, RankingShown
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring, seal_ranking
from searchsvc.learning.learners import Learners
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from tests.changing import ChangingShop, changing_shop
from tests.factories import NOW, click, ranking
from tuning.clicks.join import Clickthrough
from tuning.clicks.pages import SETTLE

IDS = ("a", "b", "c")


async def no_search(
    name: str, before: ControlState, after: ControlState, request: SearchRequest
) -> tuple[SearchAnswer, SearchAnswer]:
    raise AssertionError("nothing is searched here")


class LearningShop:
    """Hands events to its learners as the worker does, and writes them to BEHAVIOR."""

    def __init__(self, shop: ChangingShop, keyring: Keyring) -> None:
        self.shop = shop
        self.keyring = keyring
        self.learners = self.new_learners()

    def new_learners(self) -> Learners:
        shop, searches = self.shop, RepeatedSearches(no_search, self.keyring)
        return Learners(
            shop.log, shop.serving, shop.commands, shop.drafts, searches, self.keyring, settle=SETTLE, clock=shop.clock
        )

    async def set_learning(self, event_id: str, learning: Learning) -> None:
        await self.shop.change(event_id, SetLearning(learning))

    async def show_clicks(self, n_users: int, document_id: str = "b", query: str = "lamp") -> None:
        """Have users search and click a document, each once."""
        for number in range(n_users):
            user = self.keyring.user(f"user-{number}", NOW)
            self.keyring.flush()
            # Each document is as often at each rank.
            order = IDS[number % len(IDS) :] + IDS[: number % len(IDS)]
            shown = seal_ranking(msgspec.structs.replace(ranking(f"q{number}", ids=order), query=query), user)
            clicked = msgspec.structs.replace(click(f"e{number}", shown.id, document_id), user=user.pseudonym)
            await self.hand_over(shown, clicked)

    async def hand_over(self, shown: RankingShown, clicked: InteractionRecorded) -> None:
        events: list[BehaviorEvent] = [shown, clicked]
        seq = await self.shop.log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=events))))
        self.learners.note_position(seq)
        self.learners.take(shown, seq)
        self.learners.take(Clickthrough(shown, clicked), seq)

    async def factors(self) -> dict[tuple[str, str], float]:
        """Return the factors in SIGNALS, by query and document."""
        factors = {}
        async for record in self.shop.log.read("SIGNALS"):
            event = decode_signal(record.data)
            document_id = getattr(event, "document_id", None)
            if document_id is not None:
                factors[getattr(event, "query", ""), document_id] = event.factor  # type: ignore[union-attr]
        return factors


@asynccontextmanager
async def learning_shop(folder: Path, learning: Learning | None = None) -> AsyncIterator[LearningShop]:
    """An index that learns in the automatic mode, unless `learning` says otherwise."""
    keyring = Keyring(folder / KEYRING_NAME)
    async with changing_shop(folder) as shop:
        teaching_shop = LearningShop(shop, keyring)
        try:
            await teaching_shop.set_learning("learn", learning or Learning(mode="automatic", max_boost=1.5))
            yield teaching_shop
        finally:
            teaching_shop.learners.close()
            keyring.close()
