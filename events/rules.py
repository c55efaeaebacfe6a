"""Rules as they are stored in the log: what a merchandiser asks for some searches. Pure data.

A rule is in force while it is enabled and within its window; it fires for a search that meets all of its conditions.
`events.rule_checks` says which rules are valid, `searchsvc.rules` which of them fire and what they do together.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec

MAX_RULES: Final = 10_000
MAX_TAGS: Final = 20
MAX_NAME_CHARS: Final = 128
MAX_PRIORITY: Final = 1000
MIN_FACTOR: Final = 0.01
MAX_FACTOR: Final = 100.0

PatternType = Literal["exact", "starts", "contains", "all_words"]
# A filter as text or JSON; `searchsvc.engines.filters` parses both.
FilterInput = str | dict[str, object]


class QueryPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pattern that a query must match. Words are compared by stem, without regard to case or accents.

    type: the query has exactly these words; starts with them; contains them side by side, in this order; or contains
        all of them, in any order.
    text: the words; '' with type `exact` matches browsing.
    """

    type: PatternType
    text: str = ""


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Conditions of a search, all of which must hold.

    query: a pattern, or several of which one must match.
    context: tags that the search must carry, all of them.
    scope: scope that the search must have, perhaps within another: a store or a category page.
    filters: filter that the search must have, perhaps among others.
    user_segment: segment that the shopper must belong to.
    experiment: arm of an experiment that the search must be in.
    """

    query: QueryPattern | tuple[QueryPattern, ...] | None = None
    context: tuple[str, ...] = ()
    scope: FilterInput = ""
    filters: FilterInput = ""
    user_segment: str = ""
    experiment: str = ""

    @property
    def patterns(self) -> tuple[QueryPattern, ...]:
        """The patterns, () without any."""
        if self.query is None:
            return ()
        return (self.query,) if isinstance(self.query, QueryPattern) else self.query

    def filters_by_path(self) -> Iterator[tuple[str, FilterInput]]:
        """Yield the filters that are given, with the paths of their members."""
        for name in ("scope", "filters"):
            if getattr(self, name):
                yield f"conditions.{name}", getattr(self, name)


class SynonymAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="synonym"):
    """Phrases that mean the same: either `words`, or `from` and `to`.

    words: phrases of which each may stand for any other.
    of: `from` in JSON; a query with one of these phrases also finds documents with one of `to`, but not the other way
        round.
    """

    words: tuple[str, ...] = ()
    of: tuple[str, ...] = msgspec.field(default=(), name="from")
    to: tuple[str, ...] = ()


class PinAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pin"):
    """Put a document at a rank, counted over all pages, even if it does not match the query. Filters still apply."""

    document_id: str
    rank: int


class HideAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="hide"):
    """Leave out a document, or all that pass a filter: neither found nor counted."""

    document_id: str = ""
    filter: FilterInput = ""


class BoostAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="boost"):
    """Multiply scores.

    factor: what scores are multiplied by.
    filter: only of documents that pass it; '' for all.
    signal: multiply by 1 + (factor - 1) * this signal of the document, in [0, 1], instead; '' for none.
    """

    factor: float
    filter: FilterInput = ""
    signal: str = ""


class BuryAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="bury"):
    """Boost by a factor of at most 1."""

    factor: float
    filter: FilterInput = ""
    signal: str = ""


class FilterAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="filter"):
    """Keep only the documents that pass a filter, as if the shopper had asked for it; facets count within it."""

    filter: FilterInput


class ReplaceWordsAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="replace_words"):
    """Replace words of the query.

    to: the replacement.
    of: `from` in JSON, the words that are replaced; '' for the whole query.
    """

    to: str
    of: str = msgspec.field(default="", name="from")


class RemoveWordsAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="remove_words"):
    """Remove words from the query, unless nothing else would be left."""

    words: tuple[str, ...]


class RedirectAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="redirect"):
    """Tell the website to go to another page; the answer has hits all the same."""

    url: str


class UserDataAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="user_data"):
    """Pass any JSON to the website, such as a banner."""

    data: object


Action = (
    SynonymAction
    | PinAction
    | HideAction
    | BoostAction
    | BuryAction
    | FilterAction
    | ReplaceWordsAction
    | RemoveWordsAction
    | RedirectAction
    | UserDataAction
)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions for the searches that meet conditions.

    valid_from: first moment at which the rule is in force, with a time zone; None for no bound.
    valid_until: first moment at which it is no longer in force, with a time zone; None for no bound.
    priority: of conflicting rules, the one with the higher priority applies.
    """

    actions: tuple[Action, ...]
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    conditions: Conditions = Conditions()
    priority: int = 0

    def in_force(self, now: datetime) -> bool:
        """Return whether the rule is enabled and within its window."""
        has_begun = self.valid_from is None or self.valid_from <= now
        return self.enabled and has_begun and (self.valid_until is None or now < self.valid_until)

    def is_in_force_with(self, other: Rule) -> bool:
        """Return whether there is a time at which both rules are in force."""
        if not (self.enabled and other.enabled):
            return False
        begins = [rule.valid_from for rule in (self, other) if rule.valid_from is not None]
        ends = [rule.valid_until for rule in (self, other) if rule.valid_until is not None]
        return not begins or not ends or max(begins) < min(ends)


def filters_of(rule: Rule) -> Iterator[tuple[str, FilterInput]]:
    """Yield every filter of a rule with the path of its member, such as `actions[0].filter`."""
    yield from rule.conditions.filters_by_path()
    for i, action in enumerate(rule.actions):
        match action:
            case HideAction(filter=text) | BoostAction(filter=text) | BuryAction(filter=text) if text:
                yield f"actions[{i}].filter", text
            case FilterAction(filter=text):
                yield f"actions[{i}].filter", text
