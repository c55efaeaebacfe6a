"""Synonyms of rules, prepared for looking them up in queries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from events.index_control import StoredRule
from events.rules import SynonymAction
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.languages import DEFAULT, Languages


class Synonym(msgspec.Struct, frozen=True):
    """A phrase of a query, and words that documents may contain instead of it.

    phrase: stems of the phrase, in order
    words: the words that mean the same
    compound: these words written as one, '' if they are never written so
    one_way: whether the phrase is no synonym of the words
    """

    rule_id: str
    phrase: tuple[str, ...]
    words: tuple[str, ...]
    compound: str = ""
    one_way: bool = False


# Returns the synonyms of all phrases that a sequence of stems begins with.
SynonymLookup = Callable[[Sequence[str]], Sequence[Synonym]]


def no_synonyms(stems: Sequence[str]) -> Sequence[Synonym]:
    """Return no synonyms for any phrase."""
    del stems
    return ()


def synonyms_of(stored: StoredRule, languages: Languages = DEFAULT) -> Iterator[Synonym]:
    """Yield the synonyms of a rule, in its order. languages: of the index"""
    stem = languages.stem
    for action in stored.rule.actions:
        if not isinstance(action, SynonymAction):
            continue
        analyses = {text: analyze(text) for text in (*action.words, *action.of, *action.to)}
        for source_text, target_text in _pairs(action):
            source, target = analyses[source_text], analyses[target_text]
            if source.words and target.words:
                words, compound, one_way = tuple(target.words), _whole_compound(target), not action.words
                yield Synonym(stored.id, tuple(map(stem, source.words)), words, compound, one_way)
                # A compound of the query that documents contain is one term.
                if _whole_compound(source):
                    yield Synonym(stored.id, (stem(_whole_compound(source)),), words, compound, one_way)


def _whole_compound(analysis: Analysis) -> str:
    """Return the compound of all the words, or ''."""
    n_words = len(analysis.words)
    return next((c.text for c in analysis.compounds if (c.start, c.end) == (0, n_words)), "")


def _pairs(action: SynonymAction) -> Iterator[tuple[str, str]]:
    if action.words:
        yield from ((source, target) for source in action.words for target in action.words if source != target)
    else:
        yield from ((source, target) for source in action.of for target in action.to)
