"""Synonyms as queries look them up: by the first word of the phrase that somebody typed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from events.control import StoredRule
from events.rules import SynonymAction
from searchsvc.analysis import Analysis, analyze, stem


class Synonym(msgspec.Struct, frozen=True):
    """Where a query holds the stems `of`, in this order, it may as well hold the words `to`, or `whole`: the same
    written as one, '' where it is not."""

    rule_id: str
    of: tuple[str, ...]
    to: tuple[str, ...]
    whole: str = ""


class Synonyms:
    """The synonyms in force at one time."""

    def __init__(self, synonyms: Sequence[Synonym] = ()) -> None:
        self._by_first: dict[str, list[Synonym]] = defaultdict(list)
        for synonym in synonyms:
            self._by_first[synonym.of[0]].append(synonym)

    def starting_with(self, stemmed: str) -> Sequence[Synonym]:
        return self._by_first.get(stemmed, ())


NO_SYNONYMS: Final = Synonyms()


class _Table:
    """The synonyms of an index's rules. Windows open and close by themselves, so it is asked each time."""

    def __init__(self, rules: Mapping[str, StoredRule]) -> None:
        self.rules = rules
        self._timed = [stored for stored in rules.values() if stored.rule.valid_from or stored.rule.valid_until]
        self._made: tuple[frozenset[str], Synonyms] | None = None

    def at(self, now: datetime) -> Synonyms:
        in_force = frozenset(stored.id for stored in self._timed if stored.rule.in_force(now))
        made = self._made
        if made is None or made[0] != in_force:
            live = [stored for stored in self.rules.values() if stored.rule.in_force(now)]
            # In one piece: other searches read it meanwhile.
            made = self._made = (in_force, Synonyms([one for stored in live for one in _synonyms_of(stored)]))
        return made[1]


class SynonymTables:
    """The tables of all indexes, each made anew when its rules change."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}

    def of(self, index: str, rules: Mapping[str, StoredRule]) -> _Table:
        table = self._tables.get(index)
        if table is None or table.rules is not rules:
            table = self._tables[index] = _Table(rules)
        return table


def _synonyms_of(stored: StoredRule) -> Iterator[Synonym]:
    for action in stored.rule.actions:
        phrases = {text: analyze(text) for text in (*action.words, *action.of, *action.to)}
        for of, to in _pairs(action):
            before, after = phrases[of], phrases[to]
            if before.words and after.words:
                words, whole = tuple(after.words), _whole(after)
                yield Synonym(stored.id, tuple(stem(word) for word in before.words), words, whole)
                # A query's compound that documents hold is one term.
                if _whole(before):
                    yield Synonym(stored.id, (stem(_whole(before)),), words, whole)


def _whole(analysis: Analysis) -> str:
    """The compound of all the words; '' where there is none."""
    n = len(analysis.words)
    return next((one.text for one in analysis.compounds if (one.start, one.end) == (0, n)), "")


def _pairs(action: SynonymAction) -> Iterator[tuple[str, str]]:
    if action.words:
        yield from ((one, other) for one in action.words for other in action.words if one != other)
    else:
        yield from ((one, other) for one in action.of for other in action.to)
