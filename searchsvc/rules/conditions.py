"""When rules fire: their conditions, and what of a search these look at. Pure.

Each condition lies under a *key* that a search has to bring along for it to hold: the words of its pattern, else a part
of its filter, a tag, a segment or an arm. A search looks its own keys up and checks the few conditions that lie there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Final

import msgspec

from events.rules import Conditions, PatternType
from searchsvc.analysis.analyzer import analyze_query
from searchsvc.analysis.stemming import stem
from searchsvc.engines.filters import AllOf, AnyOf, Filter, Is, Not, parse_filter

CLOSENESS: Final[Mapping[PatternType, int]] = {"exact": 0, "starts": 1, "contains": 2, "all_words": 3}
NO_PATTERN: Final = len(CLOSENESS)
ALWAYS: Final = ("always",)

Stems = tuple[str, ...]
Key = tuple[Hashable, ...]


def stems_of(text: str) -> Stems:
    """The words of a text as searches compare them."""
    return tuple(stem(word) for word in analyze_query(text).words)


def filter_conjuncts(given: Filter | None) -> frozenset[Filter]:
    """All of what has to hold for a filter to hold, each written in one way whichever way it came."""
    if given is None:
        return frozenset()
    if isinstance(given, AllOf):
        return frozenset(part for one in given.parts for part in filter_conjuncts(one))
    return frozenset((_in_one_way(given),))


def _in_one_way(given: Filter) -> Filter:
    """Without regard to case and order, as filters are evaluated."""
    match given:
        case Is(field=field, values=values) if field != "id":
            return Is(field, tuple(sorted({value.casefold() for value in values})))
        case Is(field=field, values=values):
            return Is(field, tuple(sorted(set(values))))
        case Not(part=part):
            return Not(_in_one_way(part))
        case AllOf(parts=parts):
            return AllOf(tuple(sorted(map(_in_one_way, parts), key=repr)))
        case AnyOf(parts=parts):
            return AnyOf(tuple(sorted(map(_in_one_way, parts), key=repr)))
        case _:
            return given


class SearchContext(msgspec.Struct, frozen=True):
    """What of a search conditions look at. queries: its words, as typed and as they were meant where that differs; one
    of no words for who browses; none for what has no query. filters: parts of its filter."""

    queries: tuple[Stems, ...] = ()
    context: frozenset[str] = frozenset()
    filters: frozenset[Filter] = frozenset()
    user_segment: str = ""
    experiment: str = ""


class Pattern(msgspec.Struct, frozen=True):
    type: PatternType
    stems: Stems

    def fits(self, query: Stems) -> bool:
        own, n = self.stems, len(self.stems)
        match self.type:
            case "exact":
                return query == own
            case "starts":
                return query[:n] == own
            case "contains":
                return any(query[i : i + n] == own for i in range(len(query) - n + 1))
            case "all_words":
                return set(own) <= set(query)


class PreparedConditions(msgspec.Struct, frozen=True):
    """`events.rules.Conditions`, ready to be held against searches."""

    patterns: tuple[Pattern, ...]
    context: frozenset[str]
    filters: frozenset[Filter]
    user_segment: str
    experiment: str

    @staticmethod
    def of(given: Conditions) -> PreparedConditions:
        patterns = tuple(Pattern(one.type, stems_of(one.text)) for one in given.patterns)
        filters = filter_conjuncts(parse_filter(given.filters, "conditions.filters"))
        return PreparedConditions(patterns, frozenset(given.context), filters, given.user_segment, given.experiment)

    def holds(self, occasion: SearchContext) -> bool:
        return (
            (not self.patterns or any(one.fits(query) for one in self.patterns for query in occasion.queries))
            and self.context <= occasion.context
            and self.filters <= occasion.filters
            and self.user_segment in ("", occasion.user_segment)
            and self.experiment in ("", occasion.experiment)
        )

    def is_met_by(self, key: Key) -> bool:
        """Whether each search that brings a key, under which this condition lies, meets all of it."""
        if self.n_others:
            return not self.patterns and self.n_others == 1
        whole = any(one.type == "all_words" and set(one.stems) == {key[1]} for one in self.patterns)
        return key[0] != "all_words" or whole

    @property
    def n_others(self) -> int:
        """How much is asked for beside the query."""
        return len(self.context) + len(self.filters) + bool(self.user_segment) + bool(self.experiment)

    @property
    def precedence(self) -> tuple[int, int, int]:
        """The lower goes first: the closer pattern, the longer pattern, the more other conditions."""
        closest = min(((CLOSENESS[one.type], -len(one.stems)) for one in self.patterns), default=(NO_PATTERN, 0))
        return *closest, -self.n_others


class _Lying(msgspec.Struct, frozen=True):
    """A condition under one key. is_met: whether that key is all that it asks for. is_alone: whether it lies under no
    other."""

    name: str
    condition: PreparedConditions
    is_met: bool
    is_alone: bool


class ConditionLookup:
    """Many conditions by name, of which those that hold are found. Never changes; another one is made of it."""

    def __init__(self) -> None:
        self._conditions: dict[str, PreparedConditions] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._by_key: dict[Key, tuple[_Lying, ...]] = {}
        self._n_with_word: Counter[str] = Counter()
        self._longest = 0

    def changed(self, gone: Collection[str], new: Mapping[str, PreparedConditions]) -> ConditionLookup:
        """gone: names that are known. new: of names that are not, or are among those gone."""
        made = ConditionLookup()
        made._conditions, made._keys, made._by_key = dict(self._conditions), dict(self._keys), dict(self._by_key)
        made._n_with_word, made._longest = self._n_with_word.copy(), self._longest
        made._take_out(gone)
        made._put_in(new)
        return made

    def holding(self, occasion: SearchContext) -> list[str]:
        """The names of the conditions that hold, in no order."""
        if not self._conditions:
            return []
        names: list[str] = []
        elsewhere: set[str] = set()
        by_key = self._by_key
        # Each key once: a query may say a word twice.
        for key in dict.fromkeys(self._keys_of(occasion)):
            for one in by_key.get(key, ()):
                if one.is_met or one.condition.holds(occasion):
                    if not one.is_alone:
                        if one.name in elsewhere:
                            continue
                        elsewhere.add(one.name)
                    names.append(one.name)
        return names

    def of(self, name: str) -> PreparedConditions:
        return self._conditions[name]

    def beside(self, name: str) -> list[str]:
        """A condition and others that hold for the same searches: for one that just meets it, or that lie where it
        does."""
        own = self._conditions[name]
        queries: list[tuple[Stems, ...]] = [(pattern.stems,) for pattern in own.patterns] or [()]
        meeting = (SearchContext(one, own.context, own.filters, own.user_segment, own.experiment) for one in queries)
        found = {other for occasion in meeting for other in self.holding(occasion)}
        return sorted(found | {one.name for key in self._keys[name] for one in self._by_key[key]})

    def _keys_of(self, occasion: SearchContext) -> Iterator[Key]:
        yield ALWAYS
        for query in occasion.queries:
            n = len(query)
            yield ("exact", query)
            for end in range(1, min(n, self._longest) + 1):
                yield ("starts", query[:end])
            for start in range(n):
                for end in range(start + 1, min(n, start + self._longest) + 1):
                    yield ("contains", query[start:end])
            for word in query:
                yield ("all_words", word)
        for part in occasion.filters:
            yield ("filter", part)
        for tag in occasion.context:
            yield ("context", tag)
        yield ("user_segment", occasion.user_segment)
        yield ("experiment", occasion.experiment)

    def _keys_to(self, condition: PreparedConditions) -> Iterator[Key]:
        """Where a condition lies: each search for which it holds brings one of these. Of several that it needs, one
        that few others need."""
        if condition.patterns:
            for pattern in condition.patterns:
                if pattern.type == "all_words":
                    yield ("all_words", min(pattern.stems, key=lambda word: (self._n_with_word[word], word)))
                else:
                    yield (pattern.type, pattern.stems)
        elif condition.filters:
            yield min((("filter", part) for part in condition.filters), key=self._n_under)
        elif condition.context:
            yield min((("context", tag) for tag in sorted(condition.context)), key=self._n_under)
        elif condition.user_segment:
            yield ("user_segment", condition.user_segment)
        elif condition.experiment:
            yield ("experiment", condition.experiment)
        else:
            yield ALWAYS

    def _n_under(self, key: Key) -> int:
        return len(self._by_key.get(key, ()))

    def _put_in(self, new: Mapping[str, PreparedConditions]) -> None:
        for condition in new.values():
            for pattern in condition.patterns:
                self._n_with_word.update(pattern.stems)
                self._longest = max(self._longest, len(pattern.stems))
        lying: dict[Key, list[_Lying]] = defaultdict(list)
        for name, condition in new.items():
            self._conditions[name] = condition
            self._keys[name] = tuple(dict.fromkeys(self._keys_to(condition)))
            for key in self._keys[name]:
                alone = len(self._keys[name]) == 1
                lying[key].append(_Lying(name, condition, condition.is_met_by(key), alone))
        for key, added in lying.items():
            self._by_key[key] = (*self._by_key.get(key, ()), *added)

    def _take_out(self, gone: Collection[str]) -> None:
        touched: dict[Key, set[str]] = defaultdict(set)
        for name in gone:
            for pattern in self._conditions.pop(name).patterns:
                self._n_with_word.subtract(pattern.stems)
            for key in self._keys.pop(name):
                touched[key].add(name)
        for key, names in touched.items():
            left = tuple(one for one in self._by_key[key] if one.name not in names)
            if left:
                self._by_key[key] = left
            else:
                del self._by_key[key]
