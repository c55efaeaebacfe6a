"""How long it takes from a click to the first search whose ranking it changes.

A click changes a document's behavior factor, which explained searches show. So shoppers view and click a document until
it has a factor; then one more click is timed until a search shows another factor.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any, Final

from benchmarks.clicker import Clicker
from benchmarks.collection import JudgedQuery
from benchmarks.errors import BenchmarkFailed
from benchmarks.searching import search
from tuning.learners.behavior import MIN_USERS

LIMIT: Final = 5
# Of a page of five, many shoppers look at this hit, and few click it.
POSITION: Final = 3
N_VIEWS: Final = 60
N_TIMED: Final = 5
CLICK_PAUSE_S: Final = 0.15
TIMEOUT_S: Final = 10.0
# At this share of the highest factor, one more click changes next to nothing.
NEAR: Final = 0.9
# Of all timed clicks.
MAX_LOST: Final = 0.3


class ClickEffects:
    """Times clicks on documents of one index.

    index: to search and click in
    max_boost: highest behavior factor
    """

    def __init__(self, connection: HTTPConnection, clicker: Clicker, index: str, max_boost: float) -> None:
        self._connection = connection
        self._clicker = clicker
        self._index = index
        self._max_boost = max_boost
        self._users = (f"effect-{number}" for number in itertools.count(1))

    async def measure(self, queries: Sequence[JudgedQuery], n: int) -> list[float]:
        """Return the milliseconds from n clicks to the first search that shows their effect.

        queries: that no shopper has searched for yet

        Raises BenchmarkFailed if too many clicks have no effect within `TIMEOUT_S`, or the queries are used up.
        """
        times = list[float]()
        n_lost, used = 0, {""}
        for query in queries:
            hits = self._search(query, explain=False)["hits"]
            document_id = hits[POSITION]["id"] if len(hits) == LIMIT else ""
            if document_id in used:
                continue
            used.add(document_id)
            await self._click_until_boosted(query, document_id)
            effects, lost = await self._time_clicks(query, document_id)
            times += effects
            n_lost += lost
            if len(times) >= n:
                break
        if len(times) < n or n_lost > MAX_LOST * (len(times) + n_lost):
            raise BenchmarkFailed(
                f"{len(times)} clicks changed a behavior factor (wanted: {n}), "
                f"{n_lost} changed none within {TIMEOUT_S:g} s"
            )
        return times

    async def _click_until_boosted(self, query: JudgedQuery, document_id: str) -> None:
        """Let shoppers view a document, and click it after the first ones, until its behavior factor is above 1."""
        for n_views in range(N_VIEWS):
            user = next(self._users)
            answer = self._search(query, user=user)
            if (_behavior_factor(answer, document_id) or 1.0) > 1.0:
                return
            if n_views >= MIN_USERS and document_id in [hit["id"] for hit in answer["hits"]]:
                await self._clicker.click(answer["query_id"], document_id, user)
                await self._clicker.flush()
                await asyncio.sleep(CLICK_PAUSE_S)

    async def _time_clicks(self, query: JudgedQuery, document_id: str) -> tuple[list[float], bool]:
        """Time clicks on a document one by one.

        Stops where one more click changes nothing: without a factor yet, or near the highest one.

        Returns the milliseconds until each took effect, and whether the last one had no effect.
        """
        times = list[float]()
        for _ in range(N_TIMED):
            user = next(self._users)
            answer = self._search(query, user=user)
            before = _behavior_factor(answer, document_id)
            if before is None or not 1.0 < before < NEAR * self._max_boost:
                break
            started = time.perf_counter()
            await self._clicker.click(answer["query_id"], document_id, user)
            await self._clicker.flush()
            while time.perf_counter() - started < TIMEOUT_S:
                # A search as of a sequence is not logged, so it is not a view.
                again = self._search(query, as_of=answer["applied_seq"])
                if _behavior_factor(again, document_id) != before:
                    times.append((time.perf_counter() - started) * 1e3)
                    break
                await asyncio.sleep(0.001)
            else:
                return times, True
        return times, False

    def _search(
        self, query: JudgedQuery, *, user: str = "", as_of: int | None = None, explain: bool = True
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"query": query.text, "limit": LIMIT}
        request |= {"explain": True} if explain else {}
        request |= {"user_token": user} if user else {}
        request |= {"as_of": as_of} if as_of is not None else {}
        return search(self._connection, self._index, request).answer


def _behavior_factor(answer: dict[str, Any], document_id: str) -> float | None:
    """Return what a hit's score is multiplied by; None if the document is not among the hits."""
    for hit in answer["hits"]:
        if hit["id"] == document_id:
            return float(hit["explanation"]["behavior_factor"])
    return None
