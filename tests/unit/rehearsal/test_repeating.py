"""Repeated searches: how far a step may go, and how it changes judged queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from events.control import ControlState
from events.errors import Unavailable
from events.learning import Learning
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.rehearsal.repeating import N_REMEMBERED, N_REPEATED, RepeatedSearches
from searchsvc.search.answer import Hit, SearchAnswer
from searchsvc.search.request import SearchRequest
from tests.factories import ranking
from tests.simulation.shop import WEIGHTS, index

pytestmark = pytest.mark.anyio
JUDGMENTS = {"lamp": {"good": 3, "bad": 0}}
# More of this weight turns the order round.
TURNED = {**WEIGHTS, "cosine": 1.2}


class TurningSearch:
    """Answers with `good` before `bad`, and the other way round past a weight of `turn_at`."""

    def __init__(self, turn_at: float) -> None:
        self.turn_at = turn_at
        self.n_searches = 0
        self.degraded_after = False

    async def compare(
        self, name: str, before: ControlState, after: ControlState, request: SearchRequest
    ) -> tuple[SearchAnswer, SearchAnswer]:
        self.n_searches += 1
        answers = [self._answer(state.index(name).weights) for state in (before, after)]
        if self.degraded_after:
            answers[1] = msgspec.structs.replace(answers[1], degraded=["vector"])
        return answers[0], answers[1]

    def _answer(self, weights: Mapping[str, float]) -> SearchAnswer:
        order = ["bad", "good"] if weights["cosine"] > self.turn_at else ["good", "bad"]
        return answer(order)


def answer(document_ids: list[str]) -> SearchAnswer:
    hits = [Hit(name, rank, 1.0, msgspec.Raw(b"{}")) for rank, name in enumerate(document_ids, start=1)]
    return SearchAnswer(
        query_id="q",
        index="shop",
        hits=hits,
        total=len(hits),
        groups=None,
        facets={},
        retrieval="hybrid",
        relaxed=[],
        warnings=[],
        operator=None,
        terms=[],
        did_you_mean=None,
        vector_trust=None,
        took_ms=1.0,
        applied_seq=1,
        config_version=1,
        weights_version=1,
        weights_segment=None,
        applied_catalog_seq=1,
        applied_rules=[],
        rule_effects=[],
        redirect=None,
        user_data=[],
        experiment=None,
        cursor=None,
        degraded=[],
    )


def control(learning: Learning) -> ControlState:
    return ControlState(indexes=MappingProxyType({"shop": index(learning=learning)}))


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    opened = Keyring(tmp_path / KEYRING_NAME)
    yield opened
    opened.close()


async def test_a_step_is_shortened_until_it_moves_little_enough(keyring: Keyring) -> None:
    search = TurningSearch(turn_at=0.75)
    searches = RepeatedSearches(search.compare, keyring)
    state = control(Learning())
    assert await searches.largest_step(state, "shop", TURNED) is None, "there is no search to repeat"
    searches.remember(ranking())
    # A share of 0.5 does not turn the order, and so moves nothing.
    assert await searches.largest_step(state, "shop", TURNED) is None
    assert search.n_searches == 3


async def test_distinct_first_pages_are_remembered_and_the_last_ones_repeated(keyring: Keyring) -> None:
    search = TurningSearch(turn_at=0.0)
    searches = RepeatedSearches(search.compare, keyring)
    for number in range(N_REMEMBERED + 10):
        searches.remember(msgspec.structs.replace(ranking(f"q{number}"), query=f"lamp {number}"))
    for changes in ({"first_rank": 11}, {"typing": True}, {"degraded": ("vector",)}, {"document_ids": ()}):
        searches.remember(msgspec.structs.replace(ranking("other"), query="other", **changes))
    assert await searches.largest_step(control(Learning()), "shop", TURNED) is None
    assert search.n_searches == N_REPEATED, "the first step moves nothing: both answers are turned"


async def test_weights_that_answer_judged_queries_worse_are_rejected(keyring: Keyring) -> None:
    searches = RepeatedSearches(TurningSearch(turn_at=0.75).compare, keyring)
    state = control(Learning(judgments=JUDGMENTS))
    worse = await searches.judge(state, "shop", WEIGHTS, TURNED, 0.0)
    assert (worse.best, worse.why_worse) == (1.0, "nDCG@10 of 1 judged queries falls from 1.0000 to 0.6309")
    better = await searches.judge(state, "shop", TURNED, WEIGHTS, 0.0)
    assert better.why_worse == ""
    out_of_reach = await searches.judge(state, "shop", TURNED, TURNED, 1.0)
    assert (out_of_reach.best, out_of_reach.why_worse) == (1.0, "")
    assert (await searches.judge(control(Learning()), "shop", WEIGHTS, TURNED, 0.5)).best == 0.0


async def test_a_judged_query_that_only_one_version_answers_in_full_decides_nothing(keyring: Keyring) -> None:
    search = TurningSearch(turn_at=0.75)
    search.degraded_after = True
    searches = RepeatedSearches(search.compare, keyring)
    with pytest.raises(Unavailable):
        await searches.judge(control(Learning(judgments=JUDGMENTS)), "shop", WEIGHTS, WEIGHTS, 0.0)


async def test_the_searches_of_deleted_indexes_are_forgotten(keyring: Keyring) -> None:
    search = TurningSearch(turn_at=0.0)
    searches = RepeatedSearches(search.compare, keyring)
    searches.remember(ranking())
    searches.drop_others({"films"})
    assert await searches.largest_step(control(Learning()), "shop", TURNED) is None
    assert search.n_searches == 0
