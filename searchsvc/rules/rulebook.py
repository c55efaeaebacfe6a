"""The rules of an index, prepared so that those that fire for a search are found among ten thousand. Pure.

Precedence, first wins: the higher priority, then `PreparedConditions.precedence`, then the id.
See docs/how-to/rules.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import msgspec

from events.errors import InvalidInput
from events.index_control import IndexControl, StoredRule, StoredSegment
from events.rules import Conditions, Rule, SynonymAction, filters_of
from searchsvc.analysis.languages import DEFAULT, Languages
from searchsvc.analysis.synonyms import Synonym, SynonymLookup, synonyms_of
from searchsvc.engines.filters import Filter, parse_filter
from searchsvc.rules.condition_lookup import ConditionLookup
from searchsvc.rules.conditions import PreparedConditions, SearchContext, Stems
from searchsvc.rules.costs import cost_of_actions

UNCONDITIONAL: Final = Conditions()
# Books kept for each index: searches as of the past and with drafts need other books than the current ones.
MAX_BOOKS: Final = 4
# More than the words of a pattern, or the other conditions of a rule.
PRECEDENCE_BASE: Final = 1 << 12
ALWAYS_FROM: Final = datetime.min.replace(tzinfo=UTC)
NEVER: Final = datetime.max.replace(tzinfo=UTC)
_PRECEDENCE: Final = attrgetter("precedence")


class PreparedRule(msgspec.Struct, frozen=True):
    """A rule with everything that is computed once.

    filters: by the path of their member, as in `events.rules.filters_of`.
    precedence: sort key, lowest first.
    begins: first moment at which it is in force; `NEVER` if it is disabled.
    ends: first moment at which it is no longer in force.
    cost: what it adds to a search; see `searchsvc.rules.costs`.
    """

    stored: StoredRule
    conditions: PreparedConditions
    filters: Mapping[str, Filter]
    precedence: tuple[int, str]
    begins: datetime
    ends: datetime
    cost: int

    @staticmethod
    def prepare(stored: StoredRule, languages: Languages = DEFAULT) -> PreparedRule:
        """Prepare a rule. Raises InvalidInput if a filter cannot be parsed. languages: of the index"""
        rule = stored.rule
        conditions = PreparedConditions.prepare(rule.conditions, languages)
        parsed = ((path, parse_filter(text, path)) for path, text in filters_of(rule))
        filters = {path: condition for path, condition in parsed if condition is not None}
        # One number, because a search may have to sort hundreds of rules.
        order = -rule.priority
        for part in conditions.precedence:
            order = PRECEDENCE_BASE * order + part
        begins = (rule.valid_from or ALWAYS_FROM) if rule.enabled else NEVER
        return PreparedRule(
            stored,
            conditions,
            filters,
            (order, stored.id),
            begins,
            rule.valid_until or NEVER,
            cost_of_actions(rule.actions, filters),
        )


class Rulebook:
    """The rules and segments of one index at one moment. Immutable: `with_rules` makes another one.

    Rules that are only synonyms for every search are not looked up by their conditions: there may be thousands, and the
    query's words tell which of them matter.

    languages: of the index
    """

    def __init__(self, languages: Languages = DEFAULT) -> None:
        self.languages = languages
        self.rules: Mapping[str, StoredRule] = {}
        self.segments: Mapping[str, StoredSegment] = {}
        self._segment_lookup = ConditionLookup()
        self._prepared: dict[str, PreparedRule] = {}
        self._lookup = ConditionLookup()
        # Of the enabled rules, by phrase.
        self._synonyms: dict[Stems, tuple[Synonym, ...]] = {}
        self._longest_phrase = 0

    def with_rules(
        self, rules: Mapping[str, StoredRule], segments: Mapping[str, StoredSegment] | None = None
    ) -> Rulebook:
        """Return the book of these rules and segments; what has not changed is not prepared again.

        segments: None keeps those of this book.
        """
        segments = self.segments if segments is None else segments
        if rules is self.rules and segments is self.segments:
            return self
        removed = [stored for name, stored in self.rules.items() if not _is_same(rules.get(name), stored)]
        added = [stored for name, stored in rules.items() if not _is_same(self.rules.get(name), stored)]
        conditional = [stored for stored in added if not _is_only_synonyms(stored.rule)]
        prepared = {stored.id: PreparedRule.prepare(stored, self.languages) for stored in conditional}
        removed_ids = [stored.id for stored in removed if stored.id in self._prepared]
        book = Rulebook(self.languages)
        book.rules = rules
        book._prepared = {name: rule for name, rule in self._prepared.items() if name not in removed_ids} | prepared
        book._lookup = self._lookup.with_changes(
            removed_ids, {name: rule.conditions for name, rule in prepared.items()}
        )
        book._synonyms = _update_synonyms(self._synonyms, removed, added, self.languages)
        book._longest_phrase = max(map(len, book._synonyms), default=0)
        book.segments, book._segment_lookup = segments, self._segment_lookup
        if segments is not self.segments:
            enabled = {name: stored.segment for name, stored in segments.items() if stored.segment.enabled}
            conditions = {
                name: PreparedConditions.prepare(segment.conditions, self.languages)
                for name, segment in enabled.items()
            }
            book._segment_lookup = ConditionLookup().with_changes((), conditions)
        return book

    def find_rules(self, context: SearchContext, now: datetime) -> list[PreparedRule]:
        """Return the rules that fire for a search, in order of precedence."""
        applicable = map(self._prepared.__getitem__, self._lookup.find_met(context))
        # There may be hundreds: do as little as possible for each.
        return sorted((rule for rule in applicable if rule.begins <= now < rule.ends), key=_PRECEDENCE)

    def find_segment(self, context: SearchContext) -> StoredSegment | None:
        """Return the segment whose weights rank a search; None for the weights of the index."""
        applicable = [self.segments[name] for name in self._segment_lookup.find_met(context)]
        return min(applicable, key=self._segment_precedence) if applicable else None

    def synonyms_for(self, fired: Iterable[PreparedRule], now: datetime) -> SynonymLookup:
        """Return the lookup of the synonyms that apply to a search.

        fired: rules that fire for the search. Rules without conditions that are in force at `now` apply too.
        """
        fired_ids = {rule.stored.id for rule in fired}

        def lookup(stems: Sequence[str]) -> list[Synonym]:
            return [
                synonym
                for n in range(1, min(len(stems), self._longest_phrase) + 1)
                for synonym in self._synonyms.get(tuple(stems[:n]), ())
                if synonym.rule_id in fired_ids or self._is_in_force_for_all(synonym.rule_id, now)
            ]

        return lookup

    def synonyms_of_phrase(self, phrase: Stems) -> Sequence[Synonym]:
        """Return the synonyms of a phrase, of all enabled rules."""
        return self._synonyms.get(phrase, ())

    def one_way_synonyms(self, phrase: Stems) -> list[Stems]:
        """Return the phrases that enabled rules take for this one, but not the other way round."""
        synonyms = self.synonyms_of_phrase(phrase)
        return [tuple(map(self.languages.stem, synonym.words)) for synonym in synonyms if synonym.one_way]

    def find_together(self, rule_id: str) -> list[list[PreparedRule]]:
        """Return, for each search that just meets a rule, the rules that can fire for it at a time at which this one
        can; none if it is a rule of synonyms for every search."""
        if rule_id not in self._prepared:
            return []
        rule = self._prepared[rule_id].stored.rule
        return [
            [
                met
                for name in self._lookup.find_met(search)
                if (met := self._prepared[name]).stored.rule.is_in_force_with(rule)
            ]
            for search in self._prepared[rule_id].conditions.searches()
        ]

    def find_overlapping(self, rule_id: str) -> list[PreparedRule]:
        """Return the rules that can fire for the same searches as a rule, itself among them, in order of precedence."""
        names = self._lookup.find_overlapping(rule_id) if rule_id in self._prepared else ()
        return sort_by_precedence(self._prepared[name] for name in names)

    def _segment_precedence(self, stored: StoredSegment) -> tuple[int, tuple[int, int, int], str]:
        return -stored.segment.priority, self._segment_lookup.get(stored.id).precedence, stored.id

    def _is_in_force_for_all(self, rule_id: str, now: datetime) -> bool:
        rule = self.rules[rule_id].rule
        return rule.conditions == UNCONDITIONAL and rule.in_force(now)


class Rulebooks:
    """Caches the books of all indexes; each is made from the last when rules change.

    Making the first book of thousands of rules takes seconds: not for the event loop.

    Safe for many threads: the tuples are replaced, never changed.
    """

    def __init__(self) -> None:
        self._books: dict[str, tuple[Rulebook, ...]] = {}

    def get(self, index: IndexControl) -> Rulebook:
        """Return the book of an index."""
        books = self._books.get(index.name, ())
        languages = Languages.of_index(index.settings)
        books = tuple(book for book in books if book.languages == languages)
        for book in books:
            if book.rules is index.rules and book.segments is index.segments:
                return book
        book = (books[0] if books else Rulebook(languages)).with_rules(index.rules, index.segments)
        self._books[index.name] = (book, *books[: MAX_BOOKS - 1])
        return book

    def prepare(self, indexes: Iterable[IndexControl]) -> None:
        """Make the books of indexes that are to be served, so that no search has to."""
        for index in indexes:
            # What an import brought may be invalid: searches of this index say so.
            with suppress(InvalidInput):
                self.get(index)

    def drop_others(self, indexes: Collection[str]) -> None:
        """Forget the books of all indexes but these."""
        # Other threads add books meanwhile.
        for name in set(self._books) - set(indexes):
            self._books.pop(name, None)


def sort_by_precedence(rules: Iterable[PreparedRule]) -> list[PreparedRule]:
    """Return the rules in order of precedence, each once."""
    return sorted({rule.stored.id: rule for rule in rules}.values(), key=_PRECEDENCE)


def _is_same(first: StoredRule | None, second: StoredRule) -> bool:
    """Return whether nothing has to be prepared again. A fold of the past makes equal rules as other objects."""
    return first is second or first == second


def _is_only_synonyms(rule: Rule) -> bool:
    return rule.conditions == UNCONDITIONAL and all(isinstance(action, SynonymAction) for action in rule.actions)


def _update_synonyms(
    before: Mapping[Stems, tuple[Synonym, ...]],
    removed: Sequence[StoredRule],
    added: Sequence[StoredRule],
    languages: Languages,
) -> dict[Stems, tuple[Synonym, ...]]:
    """Return the synonyms by phrase, without some rules and with others."""
    after = dict(before)
    removed_ids = {stored.id for stored in removed}
    for phrase in {synonym.phrase for stored in removed for synonym in _enabled_synonyms(stored, languages)}:
        remaining = tuple(synonym for synonym in after[phrase] if synonym.rule_id not in removed_ids)
        if remaining:
            after[phrase] = remaining
        else:
            del after[phrase]
    new: dict[Stems, list[Synonym]] = defaultdict(list)
    for stored in added:
        for synonym in _enabled_synonyms(stored, languages):
            new[synonym.phrase].append(synonym)
    for phrase, synonyms in new.items():
        after[phrase] = (*after.get(phrase, ()), *synonyms)
    return after


def _enabled_synonyms(stored: StoredRule, languages: Languages) -> Iterable[Synonym]:
    return synonyms_of(stored, languages) if stored.rule.enabled else ()
