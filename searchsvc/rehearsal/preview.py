"""What a draft would do to some queries: before and after, side by side. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from events.control import ControlState
from searchsvc.rules.directives import Effect
from searchsvc.search.answer import Hit, SearchAnswer
from searchsvc.search.request import SearchRequest

TOP: Final = 3
# An index, CONTROL as it is and as it would be, and a search: its answer by either.
Asking = Callable[[str, ControlState, ControlState, SearchRequest], Awaitable[tuple[SearchAnswer, SearchAnswer]]]


class PreviewHit(msgspec.Struct, frozen=True):
    """A hit afterwards. previous_rank: its rank before; null where it is new on the page. rank_change: ranks gained,
    lost where below
    0."""

    id: str
    rank: int
    score: float
    previous_rank: int | None
    rank_change: int | None


class QueryPreview(msgspec.Struct, frozen=True):
    """One query. before: ids in order. removed: ids that were on the page. total: before and after. overlap: the
    share of
    the page that stays. top_changed: whether the first three are others, or in another order."""

    query: str
    before: list[str]
    after: list[PreviewHit]
    removed: list[str]
    total: tuple[int, int]
    overlap: float
    top_changed: bool
    applied_rules: tuple[list[str], list[str]]
    rule_effects: list[Effect]


class Preview(msgspec.Struct, frozen=True):
    """n_changed: queries whose page is another."""

    queries: list[QueryPreview]
    n_changed: int


def overlap(before: Sequence[str], after: Sequence[str]) -> float:
    """The share of the longer page that is on both; 1 where both are empty."""
    longest = max(len(before), len(after))
    return len({*before} & {*after}) / longest if longest else 1.0


def top_changed(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether the first three are others, or in another order."""
    return before[:TOP] != after[:TOP]


def compared(query: str, before: SearchAnswer, after: SearchAnswer) -> QueryPreview:
    ranks = {hit.id: hit.rank for hit in before.hits}
    was, now = (_ids(answer.hits) for answer in (before, after))
    return QueryPreview(
        query=query,
        before=was,
        after=[_hit(hit, ranks.get(hit.id)) for hit in after.hits],
        removed=[name for name in was if name not in now],
        total=(before.total, after.total),
        overlap=round(overlap(was, now), 4),
        top_changed=top_changed(was, now),
        applied_rules=(before.applied_rules, after.applied_rules),
        rule_effects=after.rule_effects,
    )


def of_all(queries: Sequence[QueryPreview]) -> Preview:
    n_changed = sum(one.before != [hit.id for hit in one.after] for one in queries)
    return Preview(list(queries), n_changed)


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def _hit(hit: Hit, was: int | None) -> PreviewHit:
    return PreviewHit(hit.id, hit.rank, hit.score, was, was - hit.rank if was is not None else None)
