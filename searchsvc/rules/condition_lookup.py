"""Finds the conditions that a search meets among thousands. Pure.

Each set of conditions is filed under a *key* that a search must have to meet it: the words of its pattern, else a part
of its filter, a tag, a segment or an experiment. A search looks up its own keys and checks the few conditions there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Final

import msgspec

from searchsvc.rules.conditions import PreparedConditions, SearchContext

ALWAYS: Final = ("always",)

Key = tuple[Hashable, ...]


class _Entry(msgspec.Struct, frozen=True):
    """Conditions under one key.

    is_met_by_key: whether every search that has the key meets all of them.
    has_one_key: whether they are filed under this key alone.
    """

    name: str
    conditions: PreparedConditions
    is_met_by_key: bool
    has_one_key: bool


class ConditionLookup:
    """Conditions by name. Immutable: `with_changes` makes another one."""

    def __init__(self) -> None:
        self._conditions: dict[str, PreparedConditions] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._by_key: dict[Key, tuple[_Entry, ...]] = {}
        self._n_with_word: Counter[str] = Counter()
        self._longest_pattern = 0

    def with_changes(self, removed: Collection[str], added: Mapping[str, PreparedConditions]) -> ConditionLookup:
        """Return a lookup without some conditions and with others.

        removed: names that are in this lookup.
        added: by name; a name that is in this lookup must be removed too.
        """
        changed = ConditionLookup()
        changed._conditions, changed._keys = dict(self._conditions), dict(self._keys)
        changed._by_key = dict(self._by_key)
        changed._n_with_word, changed._longest_pattern = self._n_with_word.copy(), self._longest_pattern
        changed._remove(removed)
        changed._add(added)
        return changed

    def find_met(self, context: SearchContext) -> list[str]:
        """Return the names of the conditions that a search meets, in no order."""
        if not self._conditions:
            return []
        names: list[str] = []
        # Names that may come up under another key too.
        repeatable: set[str] = set()
        by_key = self._by_key
        # Each key once: a query may contain a word twice.
        for key in dict.fromkeys(self._keys_of_search(context)):
            for entry in by_key.get(key, ()):
                if entry.is_met_by_key or entry.conditions.are_met(context):
                    if not entry.has_one_key:
                        if entry.name in repeatable:
                            continue
                        repeatable.add(entry.name)
                    names.append(entry.name)
        return names

    def get(self, name: str) -> PreparedConditions:
        """Return the conditions of a name. Raises KeyError."""
        return self._conditions[name]

    def find_overlapping(self, name: str) -> list[str]:
        """Return the names of conditions that the same searches can meet, this one among them, in alphabetical order.

        These are the conditions that a search just meeting `name` meets, and those filed under one of its keys.
        """
        met_names = {met_name for search in self._conditions[name].searches() for met_name in self.find_met(search)}
        return sorted(met_names | {entry.name for key in self._keys[name] for entry in self._by_key[key]})

    def _keys_of_search(self, context: SearchContext) -> Iterator[Key]:
        yield ALWAYS
        for query in context.queries:
            n = len(query)
            yield ("exact", query)
            for end in range(1, min(n, self._longest_pattern) + 1):
                yield ("starts", query[:end])
            for start in range(n):
                for end in range(start + 1, min(n, start + self._longest_pattern) + 1):
                    yield ("contains", query[start:end])
            for word in query:
                yield ("all_words", word)
        for conjunct in context.scope:
            yield ("scope", conjunct)
        for conjunct in context.filters:
            yield ("filter", conjunct)
        for tag in context.tags:
            yield ("context", tag)
        yield ("user_segment", context.user_segment)
        yield ("experiment", context.experiment)

    def _keys_of_conditions(self, conditions: PreparedConditions) -> Iterator[Key]:
        """Yield keys of which every search that meets the conditions has one.

        Of several keys that it must have, choose one under which few others are filed.
        """
        if conditions.patterns:
            for pattern in conditions.patterns:
                if pattern.type == "all_words":
                    yield ("all_words", min(pattern.stems, key=lambda word: (self._n_with_word[word], word)))
                else:
                    yield (pattern.type, pattern.stems)
        elif conditions.scope:
            yield min((("scope", conjunct) for conjunct in conditions.scope), key=self._n_under)
        elif conditions.filters:
            yield min((("filter", conjunct) for conjunct in conditions.filters), key=self._n_under)
        elif conditions.tags:
            yield min((("context", tag) for tag in sorted(conditions.tags)), key=self._n_under)
        elif conditions.user_segment:
            yield ("user_segment", conditions.user_segment)
        elif conditions.experiment:
            yield ("experiment", conditions.experiment)
        else:
            yield ALWAYS

    def _n_under(self, key: Key) -> int:
        return len(self._by_key.get(key, ()))

    def _add(self, added: Mapping[str, PreparedConditions]) -> None:
        for conditions in added.values():
            for pattern in conditions.patterns:
                self._n_with_word.update(pattern.stems)
                self._longest_pattern = max(self._longest_pattern, len(pattern.stems))
        entries: dict[Key, list[_Entry]] = defaultdict(list)
        for name, conditions in added.items():
            keys = tuple(dict.fromkeys(self._keys_of_conditions(conditions)))
            self._conditions[name], self._keys[name] = conditions, keys
            for key in keys:
                entries[key].append(_Entry(name, conditions, _is_met_by(conditions, key), len(keys) == 1))
        for key, new in entries.items():
            self._by_key[key] = (*self._by_key.get(key, ()), *new)

    def _remove(self, removed: Collection[str]) -> None:
        names_by_key: dict[Key, set[str]] = defaultdict(set)
        for name in removed:
            for pattern in self._conditions.pop(name).patterns:
                self._n_with_word.subtract(pattern.stems)
            for key in self._keys.pop(name):
                names_by_key[key].add(name)
        for key, names in names_by_key.items():
            remaining = tuple(entry for entry in self._by_key[key] if entry.name not in names)
            if remaining:
                self._by_key[key] = remaining
            else:
                del self._by_key[key]


def _is_met_by(conditions: PreparedConditions, key: Key) -> bool:
    """Return whether every search that has a key, under which the conditions are filed, meets all of them."""
    if conditions.n_besides_query:
        return not conditions.patterns and conditions.n_besides_query == 1
    if key[0] != "all_words":
        return True
    return any(pattern.type == "all_words" and set(pattern.stems) == {key[1]} for pattern in conditions.patterns)
