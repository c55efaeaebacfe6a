"""Checks a rule against the current index; `events.rule_checks.check_rule` checks a rule by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from events.errors import InvalidInput, require
from events.index_control import StoredRule
from events.rules import (
    BoostAction,
    BuryAction,
    Conditions,
    PinAction,
    ReplaceWordsAction,
    Rule,
    filters_of,
)
from searchsvc.analysis.query import Query
from searchsvc.engines.filters import parse_filter
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.engines.retrieval import Retrieval
from searchsvc.rules.conditions import Stems, stems_of
from searchsvc.rules.cost_checks import synonym_phrases
from searchsvc.rules.rulebook import Rulebook

WORDS_LIMIT: Final = "a text with at least one letter or digit"


def check_words(rule: Rule) -> None:
    """Raise InvalidInput if a text that is compared with queries has no words, or a filter cannot be parsed."""
    check_condition_words(rule.conditions)
    for i, action in enumerate(rule.actions):
        if isinstance(action, ReplaceWordsAction):
            # Without `from`, the whole query is replaced.
            if action.of:
                require(bool(stems_of(action.of)), f"actions[{i}].from", action.of, WORDS_LIMIT)
            require(bool(stems_of(action.to)), f"actions[{i}].to", action.to, WORDS_LIMIT)
    for path, text in filters_of(rule):
        require(parse_filter(text, path) is not None, path, text, "a filter that is not empty")


def check_condition_words(conditions: Conditions) -> None:
    """Raise InvalidInput if a pattern has no words, or the filter cannot be parsed."""
    is_list = isinstance(conditions.query, tuple)
    for i, pattern in enumerate(conditions.patterns):
        if pattern.text.strip() or pattern.type != "exact":
            path = f"conditions.query[{i}].text" if is_list else "conditions.query.text"
            require(bool(stems_of(pattern.text)), path, pattern.text, WORDS_LIMIT)
    for path, source in conditions.filters_by_path():
        require(parse_filter(source, path) is not None, path, source, "a filter")


def check_conditions_against_index(conditions: Conditions, snapshot: EngineSnapshot) -> None:
    """Raise InvalidInput if a filter names an attribute that the index does not have."""
    for path, source in conditions.filters_by_path():
        condition = parse_filter(source, path)
        if condition is not None:
            snapshot.check_filter(condition, path)


def needs_documents(rule: Rule) -> bool:
    """Return whether the documents of the index decide if a rule is valid."""
    for action in rule.actions:
        match action:
            case PinAction():
                return True
            case BoostAction(signal=signal) | BuryAction(signal=signal) if signal:
                return True
            case _:
                pass
    return any(True for _ in filters_of(rule))


def check_against_index(rule: Rule, snapshot: EngineSnapshot) -> None:
    """Raise InvalidInput if a rule names an attribute, document or signal that the index does not have.

    May ask the engine: not for the event loop.
    """
    signals = [signal.field for signal in snapshot.settings.signals]
    for path, text in filters_of(rule):
        condition = parse_filter(text, path)
        if condition is not None:
            snapshot.check_filter(condition, path)
    existing = _existing(snapshot, [action.document_id for action in rule.actions if isinstance(action, PinAction)])
    for i, action in enumerate(rule.actions):
        match action:
            case PinAction(document_id=document_id):
                limit = "the id of a document of this index"
                require(document_id in existing, f"actions[{i}].document_id", document_id, limit)
            case BoostAction(signal=signal) | BuryAction(signal=signal) if signal:
                limit = f"a signal of this index: {', '.join(signals) or 'it has none'}"
                require(signal in signals, f"actions[{i}].signal", signal, limit)
            case _:
                pass


def check_no_synonym_cycle(stored: StoredRule, book: Rulebook) -> None:
    """Raise InvalidInput if a rule's one-way synonyms lead back to a phrase, directly or through other rules.

    book: all rules, this one among them.
    """
    phrases = synonym_phrases(stored.rule, book.languages)
    starts = {phrase: (path, text) for path, phrase, text in phrases if ".from[" in path}
    cycle = _find_cycle(starts, book)
    if cycle:
        # No other rule has a cycle: this one has a phrase in it.
        first = next(position for position, phrase in enumerate(cycle) if phrase in starts)
        cycle = [*cycle[first:], *cycle[: first + 1]]
        path, text = starts[cycle[0]]
        shown = " -> ".join(map(" ".join, cycle))
        raise InvalidInput(
            f"{path} leads back to itself: {shown}; if all mean the same, use words",
            field=path,
            value=text,
            limit="synonyms without a cycle",
        )


def _existing(snapshot: EngineSnapshot, ids: Sequence[str]) -> set[str]:
    """Return which documents exist, with one request to the engine."""
    if not ids:
        return set()
    no_signals = np.zeros(len(snapshot.settings.signals), np.float32)
    retrieval = Retrieval(Query(""), None, {}, no_signals, k=1, window=1, pinned_ids=tuple(ids))
    reading = snapshot.reading()
    return {reading.id(slot) for slot in reading.retrieve(retrieval).pinned.tolist()}


def _find_cycle(starts: Iterable[Stems], book: Rulebook) -> list[Stems]:
    """Return phrases, each a one-way synonym of the one before, of which the last leads to the first; [] if none do."""
    finished: set[Stems] = set()
    for start in starts:
        # The phrases on the way, each with its synonyms that are still to be followed.
        path = {start: iter(book.one_way_synonyms(start))} if start not in finished else {}
        while path:
            phrase = next(reversed(path))
            synonym = next(path[phrase], None)
            if synonym is None:
                finished.add(phrase)
                del path[phrase]
            elif synonym in path:
                phrases = list(path)
                return phrases[phrases.index(synonym) :]
            elif synonym not in finished:
                path[synonym] = iter(book.one_way_synonyms(synonym))
    return []
