"""Suggestions while a query is typed: queries of other shoppers, and titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from searchsvc.analysis.analyzer import normalized


class Suggestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One suggestion.

    kind: a query that shoppers made, or the title of a document.
    count: how often the query was made; older ones count less.
    document_id: of the title.
    """

    text: str
    kind: Literal["query", "title"]
    count: int = 0
    document_id: str = ""


def combine_suggestions(queries: Sequence[Suggestion], titles: Sequence[Suggestion], n: int) -> list[Suggestion]:
    """Return n suggestions: queries, then titles, without repetitions. Titles get up to a third of the places."""
    distinct: dict[str, Suggestion] = {}
    n_queries = max(n - len(titles), n - n // 3)
    for suggestion in [*queries[:n_queries], *titles, *queries[n_queries:]]:
        distinct.setdefault(normalized(suggestion.text), suggestion)
    return list(distinct.values())[:n]
