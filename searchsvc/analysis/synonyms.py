"""Synonyms as queries look them up: by the first word of the phrase that somebody typed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from events.control import StoredRule
from events.rules import SynonymAction
from searchsvc.analysis.analyzer import Analysis, analyze, stem


class Synonym(msgspec.Struct, frozen=True):
    """Where a query holds the stems `of`, in this order, it may as well hold the words `to`, or `whole`: the same
    written as one, '' where it is not. one_way: whether that holds in this direction only."""

    rule_id: str
    of: tuple[str, ...]
    to: tuple[str, ...]
    whole: str = ""
    one_way: bool = False


# By the stem of their first word.
Synonyms = Callable[[str], Sequence[Synonym]]


def no_synonyms(_: str) -> Sequence[Synonym]:
    return ()


def synonyms_of(stored: StoredRule) -> Iterator[Synonym]:
    """All that a rule says, in its order."""
    for action in stored.rule.actions:
        if not isinstance(action, SynonymAction):
            continue
        phrases = {text: analyze(text) for text in (*action.words, *action.of, *action.to)}
        for of, to in _pairs(action):
            before, after = phrases[of], phrases[to]
            if before.words and after.words:
                words, whole, one_way = tuple(after.words), _whole(after), not action.words
                yield Synonym(stored.id, tuple(map(stem, before.words)), words, whole, one_way)
                # A query's compound that documents hold is one term.
                if _whole(before):
                    yield Synonym(stored.id, (stem(_whole(before)),), words, whole, one_way)


def _whole(analysis: Analysis) -> str:
    """The compound of all the words; '' where there is none."""
    n = len(analysis.words)
    return next((one.text for one in analysis.compounds if (one.start, one.end) == (0, n)), "")


def _pairs(action: SynonymAction) -> Iterator[tuple[str, str]]:
    if action.words:
        yield from ((one, other) for one in action.words for other in action.words if one != other)
    else:
        yield from ((one, other) for one in action.of for other in action.to)
