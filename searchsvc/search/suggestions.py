"""What to suggest while somebody types: queries that others made, and titles. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from searchsvc.analysis.analyzer import normalized


class Suggestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """kind: a query that shoppers made (count: how often, older ones counting less) or the title of a document."""

    text: str
    kind: Literal["query", "title"]
    count: int = 0
    document_id: str = ""


def combine_suggestions(queries: Sequence[Suggestion], titles: Sequence[Suggestion], n: int) -> list[Suggestion]:
    """Queries, then titles, nothing twice; titles keep a third of the places where there are so many of both."""
    distinct: dict[str, Suggestion] = {}
    kept = max(n - len(titles), n - n // 3)
    for one in [*queries[:kept], *titles, *queries[kept:]]:
        distinct.setdefault(normalized(one.text), one)
    return list(distinct.values())[:n]
