"""Suggestions while typing."""

from __future__ import annotations

import msgspec

from searchsvc.search.suggestions import Suggestion


class SuggestQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to complete.

    q: what was typed so far
    """

    q: str
    limit: int = 8


class Suggestions(msgspec.Struct, frozen=True):
    """Completions, best first: queries that shoppers made, then titles."""

    q: str
    suggestions: list[Suggestion]
