"""Reading logged searches, repeating them, and what-ifs in the background."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.codec import encode
from events.control import ControlState
from events.edits import SetWeights
from events.errors import InvalidInput, NotFound, Unavailable
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT
from events.types import BehaviorBatch, BehaviorEvent
from searchsvc.behavior.keyring import Keyring, seal_ranking
from searchsvc.rehearsal.what_if.logged_searches import LoggedSearchReader
from searchsvc.rehearsal.what_if.repeated_pages import repeat
from searchsvc.rehearsal.what_if.report import WhatIfInput, WhatIfStatus
from searchsvc.rehearsal.what_if.searches import RepeatableSearch
from searchsvc.rehearsal.what_if.what_ifs import WhatIfs
from searchsvc.search.last_known import LAST_KNOWN
from searchsvc.search.request import SearchRequest
from tests.changing import ADA, ChangingShop, changing_shop
from tests.factories import NOW, click, ranking
from tests.waiting import wait_for_async

DAY = timedelta(days=1)
SHOES = RepeatableSearch("red shoe", "")


class Hit:
    def __init__(self, document_id: str) -> None:
        self.id = document_id


class Answer:
    """The part of a `SearchAnswer` that is compared."""

    def __init__(self, ids: str, degraded: Sequence[str] = ()) -> None:
        self.hits = [Hit(document_id) for document_id in ids]
        self.degraded = list(degraded)


class Comparisons:
    """Stands in for `Rehearser.compare`: returns these outcomes in turn, then repeats the last one."""

    def __init__(self, *outcomes: tuple[Answer, Answer] | Exception) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[SearchRequest] = []

    async def __call__(self, index: str, before: ControlState, after: ControlState, request: SearchRequest) -> Any:
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def logged(log: MemoryEventLog, *events: BehaviorEvent) -> None:
    await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, encode(BehaviorBatch(events=list(events)))))


@pytest.mark.anyio
async def test_first_pages_of_finished_searches_are_read_with_their_interactions(tmp_path: Path) -> None:
    log = MemoryEventLog(lambda: NOW)
    shown = ranking("q1")
    await logged(
        log,
        msgspec.structs.replace(shown, request='{"limit":5,"offset":0,"filters":"price<9"}'),
        msgspec.structs.replace(ranking("q2"), first_rank=11),
        msgspec.structs.replace(ranking("q3"), typing=True),
        msgspec.structs.replace(ranking("q4"), degraded=(LAST_KNOWN,)),
        ranking("q5", index="films"),
        click("e1", "q1", "a"),
        click("e2", "q1", "b"),
        msgspec.structs.replace(click("e3", "q1", "c"), kind="view"),
        click("e4", "q2", "a"),
        click("e5", None, "a"),
    )
    reader = LoggedSearchReader(log, Keyring(tmp_path / "privacy.sqlite"), lambda: NOW)
    searches, acted_on = await reader.read("shop", DAY)
    assert [entry.shown.id for entry in searches] == ["q1"]
    # The page makes no difference: it is the same search.
    assert [entry.search for entry in searches] == [RepeatableSearch("red shoe", '{"filters":"price<9"}')]
    assert acted_on == {"q1": {"click": {"a", "b"}}}


@pytest.mark.anyio
async def test_searches_before_the_time_that_is_read_are_left_out(tmp_path: Path) -> None:
    times = iter([NOW - 3 * DAY, NOW - 3 * DAY, NOW])
    log = MemoryEventLog(lambda: next(times))
    await logged(log, ranking("old"))
    await logged(log, ranking("new"))
    reader = LoggedSearchReader(log, Keyring(tmp_path / "privacy.sqlite"), lambda: NOW)
    searches, _ = await reader.read("shop", DAY)
    assert [entry.shown.id for entry in searches] == ["new"]


@pytest.mark.anyio
async def test_a_sealed_query_is_opened_while_its_key_is_there(tmp_path: Path) -> None:
    log, keyring = MemoryEventLog(lambda: NOW), Keyring(tmp_path / "privacy.sqlite")
    await logged(log, seal_ranking(ranking("q1"), keyring.user("anna", NOW)))
    keyring.flush()
    reader = LoggedSearchReader(log, keyring, lambda: NOW)
    (entry,), _ = await reader.read("shop", DAY)
    assert entry.search == SHOES
    keyring.erase("anna", NOW)
    (entry,), _ = await reader.read("shop", DAY)
    assert entry.search is None


@pytest.mark.anyio
async def test_a_search_is_repeated_for_its_first_page() -> None:
    compare = Comparisons((Answer("ab"), Answer("ba")))
    search = RepeatableSearch("shoe", '{"filters":"price<9"}')
    pages = await repeat(compare, "shop", ControlState(), ControlState(), search)
    assert pages is not None
    assert (pages.before, pages.after) == (["a", "b"], ["b", "a"])
    (request,) = compare.requests
    assert (request.query, request.filters, request.offset, request.limit) == ("shoe", "price<9", 0, 10)


@pytest.mark.anyio
async def test_answers_that_lack_different_parts_are_not_compared() -> None:
    degraded, whole = (Answer("a", ["vector"]), Answer("b")), (Answer("a", ["vector"]), Answer("b", ["vector"]))
    assert await repeat(Comparisons(degraded), "shop", ControlState(), ControlState(), SHOES) is None
    compare = Comparisons(degraded, degraded, whole)
    assert await repeat(compare, "shop", ControlState(), ControlState(), SHOES) is not None
    assert len(compare.requests) == 3


@pytest.mark.anyio
async def test_a_search_that_can_no_longer_be_made_is_left_out() -> None:
    compare = Comparisons(InvalidInput("no document has price"))
    assert await repeat(compare, "shop", ControlState(), ControlState(), SHOES) is None


async def finished(what_ifs: WhatIfs, options: WhatIfInput) -> WhatIfStatus:
    await what_ifs.begin("shop", "spring", options)
    await wait_for_async(lambda: what_ifs.status("shop", "spring").phase in ("done", "failed"), "the what-if")
    return what_ifs.status("shop", "spring")


def what_ifs_of(shop: ChangingShop, folder: Path, compare: Comparisons) -> WhatIfs:
    keyring = Keyring(folder / "privacy.sqlite")
    return WhatIfs(shop.log, shop.serving, shop.drafts, keyring, compare, shop.clock)


@pytest.mark.anyio
async def test_a_what_if_repeats_the_most_frequent_searches_and_the_judged_queries(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.drafts.save("shop", "spring", [SetWeights({"cosine": 3.0})], None, ADA)
        rare = msgspec.structs.replace(ranking("q3"), query="mug")
        await logged(shop.log, ranking("q1"), ranking("q2"), rare)
        compare = Comparisons((Answer("ab"), Answer("ba")))
        what_ifs = what_ifs_of(shop, tmp_path, compare)
        options = WhatIfInput(max_queries=1, judgments={"lamp": {"b": 1}}, days=90)
        status = await finished(what_ifs, options)
        assert (status.phase, status.error, status.n_done, status.n_queries) == ("done", "", 2, 2)
        assert [request.query for request in compare.requests] == ["red shoe", "lamp"]
        report = status.report
        assert report is not None
        assert (report.n_rankings, report.n_queries, report.coverage) == (3, 1, 2 / 3)
        assert report.ndcg is not None
        assert [query.query for query in report.ndcg.winners] == ["lamp"]


@pytest.mark.anyio
async def test_a_what_if_that_fails_says_why(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        await shop.drafts.save("shop", "spring", [SetWeights({"cosine": 3.0})], None, ADA)
        await logged(shop.log, ranking("q1"))
        what_ifs = what_ifs_of(shop, tmp_path, Comparisons(ValueError("no such array")))
        status = await finished(what_ifs, WhatIfInput(days=90))
        assert (status.phase, status.error, status.report) == ("failed", "ValueError('no such array')", None)


@pytest.mark.anyio
async def test_a_what_if_of_no_draft_or_beyond_its_limits_is_refused(tmp_path: Path) -> None:
    async with changing_shop(tmp_path) as shop:
        what_ifs = what_ifs_of(shop, tmp_path, Comparisons(Unavailable("never")))
        with pytest.raises(NotFound, match="no draft 'spring'"):
            await what_ifs.begin("shop", "spring", WhatIfInput())
        with pytest.raises(NotFound, match="POST to this address"):
            what_ifs.status("shop", "spring")
        for options, field in (
            (WhatIfInput(days=0), "days"),
            (WhatIfInput(max_queries=1001), "max_queries"),
            (WhatIfInput(judgments={"lamp": {"a": 11}}), "judgments.lamp.a"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await what_ifs.begin("shop", "spring", options)
            assert refused.value.field == field
