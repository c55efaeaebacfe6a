"""What `events verify` doubts: a gap, another copy, another state, other documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from events.chain import GENESIS, link
from events.codec import encode
from events.control import ControlState, fold_message
from events.copy import COPY_NAME, ControlCopy
from events.errors import Unavailable
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT, catalog_subject
from events.types import BehaviorBatch, DocumentUpserted, IndexConfigured
from searchsvc.app.verification import Finding, LogVerification
from searchsvc.state.serving_state import ServingState
from searchsvc.state.state_info import StateInfo
from tests.factories import NOW, SETTINGS, click, engine, upsert

pytestmark = pytest.mark.anyio
CHECKS = ["service", "copy", "CONTROL", "state", "log and copy", "CATALOG", "documents", "BEHAVIOR", "DEAD"]


class Shop:
    """A log, its copy and what is served of it, all equal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = MemoryEventLog()
        self.state = ControlState()

    async def fill(self) -> None:
        """Write an index, two documents and two clicks."""
        copy = ControlCopy(self.folder / COPY_NAME)
        event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
        await self.log.append("CONTROL", Entry("control.shop", encode(event)))
        chain = GENESIS
        async for record in self.log.read("CONTROL"):
            chain = link(chain, record.data)
            copy.confirm(record, chain)
            self.state = fold_message(self.state, record.data, record.seq)
        copy.close()
        self.upserts = [upsert("1", "red shoe"), upsert("2", "blue hat")]
        for document in self.upserts:
            await self.write(document.id, document.text)
        for number in range(3):
            batch = BehaviorBatch(events=[click(f"e{number}", None)])
            await self.log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(batch)))

    async def write(self, document_id: str, text: bytes) -> None:
        """Append a document to CATALOG only."""
        event = DocumentUpserted(index="shop", id=document_id, document=msgspec.Raw(text))
        await self.log.append("CATALOG", Entry(catalog_subject("shop", 1, document_id), encode(event)))

    def served(self) -> StateInfo:
        """Return the state that is served, from an engine with the same documents."""
        snapshot = engine(self.folder / "engine", self.upserts).snapshot()
        return StateInfo.from_state(ServingState(self.state, MappingProxyType({"shop": snapshot})))

    async def verify(self, fetch_state: Callable[[], StateInfo]) -> dict[str, Finding]:
        """Run all checks; return the findings by name."""

        @asynccontextmanager
        async def open_log() -> AsyncIterator[MemoryEventLog]:
            yield self.log

        findings = await LogVerification(self.folder, "http://shop", open_log, fetch_state).run()
        return {finding.check: finding for finding in findings}


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    filled_shop = Shop(tmp_path)
    await filled_shop.fill()
    return filled_shop


def doubts(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.detail for name, finding in findings.items() if not finding.holds}


async def test_an_intact_log_holds_in_every_check(shop: Shop) -> None:
    served = shop.served()
    findings = await shop.verify(lambda: served)
    assert doubts(findings) == {}
    assert list(findings) == [*CHECKS, "checkpoints", "keyring"]
    assert "2 documents" in findings["documents"].detail
    assert "3 messages, no gap, with 3 interactions" in findings["BEHAVIOR"].detail


async def test_a_lost_message_is_named(shop: Shop) -> None:
    served = shop.served()
    shop.log.lose("BEHAVIOR", 2)
    assert doubts(await shop.verify(lambda: served)) == {"BEHAVIOR": "messages 2 to 2 are missing"}


async def test_a_change_that_only_the_copy_has_is_named(shop: Shop) -> None:
    served = shop.served()
    shop.log.lose("CONTROL", 1)
    assert "`searchsvc events repair` restores CONTROL" in doubts(await shop.verify(lambda: served))["log and copy"]


async def test_another_state_than_the_replayed_one_is_doubted(shop: Shop) -> None:
    served = msgspec.structs.replace(shop.served(), control_hash="other")
    assert list(doubts(await shop.verify(lambda: served))) == ["state"]


async def test_a_document_that_is_not_served_is_doubted(shop: Shop) -> None:
    served = shop.served()
    await shop.write("3", b'{"id":"3","title":"green sock"}')
    findings = doubts(await shop.verify(lambda: served))
    assert findings == {"documents": "index shop serves documents that are not those of CATALOG"}


async def test_without_a_service_what_it_serves_is_doubted_and_the_log_is_still_checked(shop: Shop) -> None:
    def fail() -> StateInfo:
        raise Unavailable("no service answers")

    findings = doubts(await shop.verify(fail))
    assert list(findings) == ["service", "state", "documents"]
