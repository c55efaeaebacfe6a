"""Rules, rulebooks and search contexts, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from events.index_control import StoredRule
from events.rules import Conditions, PatternType, QueryPattern, Rule, UserDataAction
from searchsvc.rules.conditions import SearchContext, stems_of
from searchsvc.rules.rulebook import Rulebook
from tests.factories import NOW

BANNER = UserDataAction({"banner": "b1"})
HOUR = timedelta(hours=1)
CONSONANTS = "bcdfghjklmnpqrstvwxz"


def stored_rule(name: str, rule: Rule, seq: int = 1) -> StoredRule:
    """Return a rule as CONTROL stores it."""
    return StoredRule(name, rule, seq, 1, NOW, "ada", False, "")


def made_up_words(prefix: str, n: int) -> tuple[str, ...]:
    """Return n words of letters only, each with a stem of its own; up to 400."""
    return tuple(f"{prefix}{first}{second}o" for first in CONSONANTS for second in CONSONANTS)[:n]


def rulebook(**rules: Rule) -> Rulebook:
    """Return a book of rules by id."""
    return Rulebook().with_rules({name: stored_rule(name, rule) for name, rule in rules.items()})


def when(query: str | None = None, pattern_type: PatternType = "contains", **conditions: Any) -> Conditions:
    """Return conditions with one pattern; None for no pattern."""
    pattern = QueryPattern(pattern_type, query) if query is not None else None
    return Conditions(query=pattern, **conditions)


def context_of(query: str = "", *, context: Sequence[str] = (), **members: Any) -> SearchContext:
    """Return the context of a search for a query. context: its tags."""
    return SearchContext((stems_of(query),), frozenset(context), **members)


def fired_ids(rules: Rulebook, context: SearchContext, now: datetime = NOW) -> list[str]:
    """Return the ids of the rules that fire, in order of precedence."""
    return [rule.stored.id for rule in rules.find_rules(context, now)]
