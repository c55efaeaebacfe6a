"""The rules of an index, prepared so that those that fire for a search are found among ten thousand. Pure.

Precedence, first wins: the higher priority, then `PreparedConditions.precedence`, then the id.
See docs/how-to/rules.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import msgspec

from events.index_control import IndexControl, StoredRule, StoredSegment
from events.rules import Conditions, Rule, SynonymAction, filters_of
from searchsvc.analysis.stemming import stem
from searchsvc.analysis.synonyms import Synonym, synonyms_of
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.rules.conditions import ConditionLookup, PreparedConditions, SearchContext, Stems

UNCONDITIONAL: Final = Conditions()
# Of each index: who looks into the past meanwhile, or at a draft, has another.
BOOKS_KEPT: Final = 4
# More than a pattern has words, or a rule has other conditions.
PLACES: Final = 1 << 12
ALWAYS_FROM: Final = datetime.min.replace(tzinfo=UTC)
NEVER: Final = datetime.max.replace(tzinfo=UTC)
_PRECEDENCE: Final = attrgetter("precedence")


class PreparedRule(msgspec.Struct, frozen=True):
    """A rule with all that is worked out once. filters: by the path of their member, as `events.rules.filters_of` has
    them. precedence: the lower goes first. begins, ends: from when until just before when it is in force; never where
    it is not enabled."""

    stored: StoredRule
    condition: PreparedConditions
    filters: Mapping[str, Filter]
    precedence: tuple[int, str]
    begins: datetime
    ends: datetime

    @staticmethod
    def of(stored: StoredRule) -> PreparedRule:
        condition = PreparedConditions.of(stored.rule.conditions)
        read = ((at, parse_filter(given, at)) for at, given in filters_of(stored.rule))
        filters = {at: given for at, given in read if given is not None}
        # In one number: hundreds of rules may have to be put in order for a search.
        order = -stored.rule.priority
        for part in condition.precedence:
            order = PLACES * order + part
        rule = stored.rule
        begins = (rule.valid_from or ALWAYS_FROM) if rule.enabled else NEVER
        return PreparedRule(stored, condition, filters, (order, stored.id), begins, rule.valid_until or NEVER)


class Rulebook:
    """The rules of one index at one moment, and its segments. Never changes; another one is made of it.

    Rules that are nothing but synonyms for every search are not looked up as others are: there may be thousands of
    them, and a query's words tell which of them matter.
    """

    def __init__(self) -> None:
        self.rules: Mapping[str, StoredRule] = {}
        self.segments: Mapping[str, StoredSegment] = {}
        self._segment_lookup = ConditionLookup()
        self._prepared: dict[str, PreparedRule] = {}
        self._lookup = ConditionLookup()
        self._synonyms: dict[str, tuple[Synonym, ...]] = {}

    def with_rules(
        self, rules: Mapping[str, StoredRule], segments: Mapping[str, StoredSegment] | None = None
    ) -> Rulebook:
        """The book of these rules, and of these segments, of the same where none are given; what is the same object as
        before is not prepared again."""
        segments = self.segments if segments is None else segments
        if rules is self.rules and segments is self.segments:
            return self
        gone = [stored for name, stored in self.rules.items() if not _same(rules.get(name), stored)]
        new = [stored for name, stored in rules.items() if not _same(self.rules.get(name), stored)]
        prepared = {one.id: PreparedRule.of(one) for one in new if not _only_synonyms(one.rule)}
        left = [one.id for one in gone if one.id in self._prepared]
        book = Rulebook()
        book.rules = rules
        book._prepared = {name: one for name, one in self._prepared.items() if name not in left} | prepared
        book._lookup = self._lookup.changed(left, {name: one.condition for name, one in prepared.items()})
        book._synonyms = _with_synonyms(self._synonyms, gone, new)
        book.segments, book._segment_lookup = segments, self._segment_lookup
        if segments is not self.segments:
            on = {
                name: PreparedConditions.of(one.segment.conditions)
                for name, one in segments.items()
                if one.segment.enabled
            }
            book._segment_lookup = ConditionLookup().changed((), on)
        return book

    def fired(self, occasion: SearchContext, now: datetime) -> list[PreparedRule]:
        """The rules that fire for a search, in order of precedence."""
        holding = map(self._prepared.__getitem__, self._lookup.holding(occasion))
        # Hundreds may hold: what is asked of each is as little as can be.
        return sorted((one for one in holding if one.begins <= now < one.ends), key=_PRECEDENCE)

    def segment(self, occasion: SearchContext) -> StoredSegment | None:
        """The one whose weights count for a search; None for those of the index."""
        holding = [self.segments[name] for name in self._segment_lookup.holding(occasion)]
        return min(holding, key=self._segment_order) if holding else None

    def _segment_order(self, stored: StoredSegment) -> tuple[int, tuple[int, int, int], str]:
        return -stored.segment.priority, self._segment_lookup.of(stored.id).precedence, stored.id

    def synonyms(self, fired: Iterable[PreparedRule], now: datetime) -> Callable[[str], Sequence[Synonym]]:
        """By the stem of their first word, the synonyms that are meant for a search for which some rules fired."""
        names = {one.stored.id for one in fired}

        def starting_with(stemmed: str) -> list[Synonym]:
            return [
                one
                for one in self._synonyms.get(stemmed, ())
                if one.rule_id in names
                or (_is_for_all(self.rules[one.rule_id].rule) and self.rules[one.rule_id].rule.in_force(now))
            ]

        return starting_with

    def one_way_from(self, phrase: Stems) -> list[Stems]:
        """The phrases that rules in use take for this one, and not the other way round."""
        lying = self._synonyms.get(phrase[0], ()) if phrase else ()
        one_way = [
            one for one in lying if one.phrase == phrase and one.one_way and self.rules[one.rule_id].rule.enabled
        ]
        return [tuple(map(stem, one.words)) for one in one_way]

    def beside(self, rule_id: str) -> list[PreparedRule]:
        """This rule and others that can fire for the same searches, in order of precedence."""
        names = self._lookup.beside(rule_id) if rule_id in self._prepared else ()
        return sort_by_precedence(self._prepared[name] for name in names)


def sort_by_precedence(rules: Iterable[PreparedRule]) -> list[PreparedRule]:
    """By precedence, each once."""
    return sorted({one.stored.id: one for one in rules}.values(), key=_PRECEDENCE)


class Rulebooks:
    """The books of all indexes, each made of the last when its rules change. For many threads: what is kept is
    replaced, never changed."""

    def __init__(self) -> None:
        self._books: dict[str, tuple[Rulebook, ...]] = {}

    def get(self, index: IndexControl) -> Rulebook:
        books = self._books.get(index.name, ())
        for book in books:
            if book.rules is index.rules and book.segments is index.segments:
                return book
        book = (books[0] if books else Rulebook()).with_rules(index.rules, index.segments)
        self._books[index.name] = (book, *books[: BOOKS_KEPT - 1])
        return book


def _same(one: StoredRule | None, other: StoredRule) -> bool:
    """Whether nothing has to be prepared again. The past is folded again, into other objects."""
    return one is other or one == other


def _is_for_all(rule: Rule) -> bool:
    return rule.conditions == UNCONDITIONAL


def _only_synonyms(rule: Rule) -> bool:
    return _is_for_all(rule) and all(isinstance(action, SynonymAction) for action in rule.actions)


def _with_synonyms(
    before: Mapping[str, tuple[Synonym, ...]], gone: Sequence[StoredRule], new: Sequence[StoredRule]
) -> dict[str, tuple[Synonym, ...]]:
    """By the stem of their first word."""
    after = dict(before)
    names = {stored.id for stored in gone}
    for first in {one.phrase[0] for stored in gone for one in synonyms_of(stored)}:
        after[first] = tuple(one for one in after[first] if one.rule_id not in names)
    added: dict[str, list[Synonym]] = defaultdict(list)
    for stored in new:
        for one in synonyms_of(stored):
            added[one.phrase[0]].append(one)
    for first, synonyms in added.items():
        after[first] = (*after.get(first, ()), *synonyms)
    return after
