"""What a draft would do to some queries: the pages before and after, side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from searchsvc.rules.directives import Effect
from searchsvc.search.answer import Hit, SearchAnswer

N_TOP: Final = 3


class PreviewHit(msgspec.Struct, frozen=True):
    """A hit of the page after.

    previous_rank: its rank before; None if it is new on the page
    rank_change: ranks gained, negative where lost; None if it is new on the page
    """

    id: str
    rank: int
    score: float
    previous_rank: int | None
    rank_change: int | None


class QueryPreview(msgspec.Struct, frozen=True):
    """One query.

    before: ids of the page before, in order
    after: hits of the page after, in order
    removed: ids that are only on the page before
    total: before and after
    overlap: share of the page that stays
    top_changed: whether the first three hits are others, or in another order
    applied_rules: before and after
    rule_effects: after
    """

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
    """All queries.

    n_changed: queries whose page differs
    """

    queries: list[QueryPreview]
    n_changed: int


def overlap(before: Sequence[str], after: Sequence[str]) -> float:
    """Return the share of the longer page that is on both; 1 if both are empty."""
    longest = max(len(before), len(after))
    return len({*before} & {*after}) / longest if longest else 1.0


def top_changed(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether the first three are others, or in another order."""
    return before[:N_TOP] != after[:N_TOP]


def preview_query(query: str, before: SearchAnswer, after: SearchAnswer) -> QueryPreview:
    """Compare the answers to one query."""
    ranks_before = {hit.id: hit.rank for hit in before.hits}
    ids_before, ids_after = ([hit.id for hit in answer.hits] for answer in (before, after))
    return QueryPreview(
        query=query,
        before=ids_before,
        after=[_preview_hit(hit, ranks_before.get(hit.id)) for hit in after.hits],
        removed=[document_id for document_id in ids_before if document_id not in ids_after],
        total=(before.total, after.total),
        overlap=round(overlap(ids_before, ids_after), 4),
        top_changed=top_changed(ids_before, ids_after),
        applied_rules=(before.applied_rules, after.applied_rules),
        rule_effects=after.rule_effects,
    )


def preview_of(queries: Sequence[QueryPreview]) -> Preview:
    """Return the preview of all queries."""
    n_changed = sum(query.before != [hit.id for hit in query.after] for query in queries)
    return Preview(list(queries), n_changed)


def _preview_hit(hit: Hit, previous_rank: int | None) -> PreviewHit:
    rank_change = previous_rank - hit.rank if previous_rank is not None else None
    return PreviewHit(hit.id, hit.rank, hit.score, previous_rank, rank_change)
