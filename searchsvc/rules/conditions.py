"""Conditions of rules and segments, prepared for comparison with searches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from events.rules import Conditions, PatternType
from searchsvc.analysis.analyzer import analyze_query
from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.engines.filters import AllOf, AnyOf, Filter, Is, Not, parse_filter

# Closer patterns go first.
CLOSENESS: Final[Mapping[PatternType, int]] = {"exact": 0, "starts": 1, "contains": 2, "all_words": 3}
NO_PATTERN: Final = len(CLOSENESS)

Stems = tuple[str, ...]


def stems_of(text: str, languages: Languages = DEFAULT) -> Stems:
    """Return the stems of a text's words, as searches compare them. languages: of the index"""
    return tuple(map(languages.stem, analyze_query(text).words))


def filter_conjuncts(condition: Filter | None) -> frozenset[Filter]:
    """Return the parts of a filter that must all hold, each in a canonical form."""
    if condition is None:
        return frozenset()
    if isinstance(condition, AllOf):
        return frozenset(conjunct for part in condition.parts for conjunct in filter_conjuncts(part))
    return frozenset((_canonical(condition),))


def _canonical(condition: Filter) -> Filter:
    """Return the form of a filter that does not depend on case and order, as filters are evaluated."""
    match condition:
        case Is(field=field, values=values) if field != "id":
            return Is(field, tuple(sorted({value.casefold() for value in values})))
        case Is(field=field, values=values):
            return Is(field, tuple(sorted(set(values))))
        case Not(part=part):
            return Not(_canonical(part))
        case AllOf(parts=parts):
            return AllOf(tuple(sorted(map(_canonical, parts), key=repr)))
        case AnyOf(parts=parts):
            return AnyOf(tuple(sorted(map(_canonical, parts), key=repr)))
        case _:
            return condition


class SearchContext(msgspec.Struct, frozen=True):
    """What conditions look at.

    queries: stems of the query as typed, and as corrected if that differs; one empty query for browsing; none if the
        search has no query.
    tags: tags of the request.
    scope: conjuncts of its scope.
    filters: conjuncts of its filter.
    user_segment: segment of shoppers that this one belongs to.
    experiment: arm of an experiment.
    """

    queries: tuple[Stems, ...] = ()
    tags: frozenset[str] = frozenset()
    scope: frozenset[Filter] = frozenset()
    filters: frozenset[Filter] = frozenset()
    user_segment: str = ""
    experiment: str = ""


class PreparedPattern(msgspec.Struct, frozen=True):
    """`events.rules.QueryPattern` with its text as stems."""

    type: PatternType
    stems: Stems

    def matches(self, query: Stems) -> bool:
        """Return whether a query matches."""
        stems, n = self.stems, len(self.stems)
        match self.type:
            case "exact":
                return query == stems
            case "starts":
                return query[:n] == stems
            case "contains":
                return any(query[i : i + n] == stems for i in range(len(query) - n + 1))
            case "all_words":
                return set(stems) <= set(query)


class PreparedConditions(msgspec.Struct, frozen=True):
    """`events.rules.Conditions`, prepared for comparison with searches."""

    patterns: tuple[PreparedPattern, ...]
    tags: frozenset[str]
    scope: frozenset[Filter]
    filters: frozenset[Filter]
    user_segment: str
    experiment: str

    @staticmethod
    def prepare(conditions: Conditions, languages: Languages = DEFAULT) -> PreparedConditions:
        """Prepare conditions. Raises InvalidInput if their filter cannot be parsed. languages: of the index"""
        return PreparedConditions(
            patterns=tuple(PreparedPattern(p.type, stems_of(p.text, languages)) for p in conditions.patterns),
            tags=frozenset(conditions.context),
            scope=filter_conjuncts(parse_filter(conditions.scope, "conditions.scope")),
            filters=filter_conjuncts(parse_filter(conditions.filters, "conditions.filters")),
            user_segment=conditions.user_segment,
            experiment=conditions.experiment,
        )

    def are_met(self, context: SearchContext) -> bool:
        """Return whether a search meets all conditions."""
        return (
            (not self.patterns or any(pattern.matches(query) for pattern in self.patterns for query in context.queries))
            and self.tags <= context.tags
            and self.scope <= context.scope
            and self.filters <= context.filters
            and self.user_segment in ("", context.user_segment)
            and self.experiment in ("", context.experiment)
        )

    def searches(self) -> list[SearchContext]:
        """Return the searches that just meet the conditions, one for each pattern."""
        queries: list[tuple[Stems, ...]] = [(pattern.stems,) for pattern in self.patterns] or [()]
        return [
            SearchContext(query, self.tags, self.scope, self.filters, self.user_segment, self.experiment)
            for query in queries
        ]

    @property
    def n_besides_query(self) -> int:
        """Number of conditions besides patterns."""
        return len(self.tags) + len(self.scope) + len(self.filters) + bool(self.user_segment) + bool(self.experiment)

    @property
    def precedence(self) -> tuple[int, int, int]:
        """Sort key, lowest first: the closer pattern, the longer pattern, the more other conditions."""
        patterns = ((CLOSENESS[pattern.type], -len(pattern.stems)) for pattern in self.patterns)
        return *min(patterns, default=(NO_PATTERN, 0)), -self.n_besides_query
