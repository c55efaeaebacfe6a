"""Whether a rule can be honoured by an index as it is, and what it competes with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from events.errors import InvalidInput, require
from events.index_control import StoredRule
from events.rules import (
    BoostAction,
    BuryAction,
    Conditions,
    HideAction,
    PinAction,
    RedirectAction,
    ReplaceWordsAction,
    Rule,
    SynonymAction,
    filters_of,
)
from searchsvc.analysis.query import Query
from searchsvc.engines.filters import parse_filter
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.engines.retrieval import Retrieval
from searchsvc.rules.conditions import Stems, stems_of
from searchsvc.rules.rulebook import Rulebook


class RuleConflict(msgspec.Struct, frozen=True):
    """Another rule that can fire for the same searches, and wants what cannot be had together. winner: which of the two
    gets it, as far as their precedence tells."""

    rule: str
    subject: str
    winner: str


def check_words(rule: Rule) -> None:
    """Raise InvalidInput where something that is to be looked for in queries has no word in it, or a filter does not
    read as one."""
    check_condition_words(rule.conditions)
    for i, action in enumerate(rule.actions):
        if isinstance(action, ReplaceWordsAction):
            for member, text in (("from", action.of), ("to", action.to)):
                well = bool(stems_of(text)) or not (text or member == "to")
                require(well, f"actions[{i}].{member}", text, "a text with at least one letter or digit")
    for at, given in filters_of(rule):
        require(parse_filter(given, at) is not None, at, given, "a filter that is not empty")


def check_condition_words(given: Conditions) -> None:
    """The same of conditions alone."""
    several = isinstance(given.query, tuple)
    for i, pattern in enumerate(given.patterns):
        if pattern.text.strip() or pattern.type != "exact":
            at = f"conditions.query[{i}].text" if several else "conditions.query.text"
            require(bool(stems_of(pattern.text)), at, pattern.text, "a text with at least one letter or digit")
    at = "conditions.filters"
    require(not given.filters or parse_filter(given.filters, at) is not None, at, given.filters, "a filter")


def check_conditions_against_index(given: Conditions, snapshot: EngineSnapshot) -> None:
    """Raise InvalidInput where the filter of a condition names what the index does not have."""
    parsed = parse_filter(given.filters, "conditions.filters")
    if parsed is not None:
        snapshot.check_filter(parsed, "conditions.filters")


def needs_documents(rule: Rule) -> bool:
    """Whether only the index can tell if a rule can be honoured."""
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
    """Raise InvalidInput where a rule names what the index does not have. May ask the engine: not for the event
    loop."""
    signals = [signal.field for signal in snapshot.settings.signals]
    for at, given in filters_of(rule):
        parsed = parse_filter(given, at)
        if parsed is not None:
            snapshot.check_filter(parsed, at)
    there = _there(snapshot, [action.document_id for action in rule.actions if isinstance(action, PinAction)])
    for i, action in enumerate(rule.actions):
        match action:
            case PinAction(document_id=document_id):
                limit = "the id of a document of this index"
                require(document_id in there, f"actions[{i}].document_id", document_id, limit)
            case BoostAction(signal=signal) | BuryAction(signal=signal) if signal:
                limit = f"a signal of this index: {', '.join(signals) or 'it has none'}"
                require(signal in signals, f"actions[{i}].signal", signal, limit)
            case _:
                pass


def _there(snapshot: EngineSnapshot, ids: Sequence[str]) -> set[str]:
    """Which documents there are, all asked for at once."""
    if not ids:
        return set()
    none = np.zeros(len(snapshot.settings.signals), np.float32)
    asked = Retrieval(Query(""), None, {}, none, k=1, window=1, pinned_ids=tuple(ids))
    reading = snapshot.reading()
    return {reading.id(slot) for slot in reading.retrieve(asked).pinned.tolist()}


def check_no_synonym_cycle(stored: StoredRule, book: Rulebook) -> None:
    """Raise InvalidInput where a rule's one-way synonyms lead back to where they started, by way of others or not.

    book: of all rules, this one among them.
    """
    for i, action in enumerate(stored.rule.actions):
        if not isinstance(action, SynonymAction) or action.words:
            continue
        for j, phrase in enumerate(action.of):
            start = stems_of(phrase)
            path = _way_back(start, book)
            if path is not None:
                shown = " -> ".join(" ".join(stems) for stems in [*path, start])
                raise InvalidInput(
                    f"actions[{i}].from[{j}] leads back to itself: {shown}; where all mean the same, use words",
                    field=f"actions[{i}].from[{j}]",
                    value=phrase,
                    limit="synonyms that do not go round in a circle",
                )


def _way_back(start: Stems, book: Rulebook) -> list[Stems] | None:
    """Phrases from a phrase on, each a one-way synonym of the one before, if the last one leads back to the first."""
    seen = {start}
    ways = [[start]]
    while ways:
        way = ways.pop()
        for after in book.one_way_from(way[-1]):
            if after == start:
                return way
            if after not in seen:
                seen.add(after)
                ways.append([*way, after])
    return None


def find_conflicts(stored: StoredRule, book: Rulebook) -> list[RuleConflict]:
    """What other rules for the same searches want that this one also wants. book: of all rules, this one among them."""
    found = []
    before = True
    for other in (one.stored for one in book.beside(stored.id)):
        if other.id == stored.id:
            before = False
        elif _meet(stored.rule, other.rule):
            wins = other.id if before else stored.id
            found += [RuleConflict(other.id, what, wins) for what in _wanted_by_both(stored.rule, other.rule)]
    return found


def _meet(one: Rule, other: Rule) -> bool:
    """Whether there is a time at which both are in force."""
    if not (one.enabled and other.enabled):
        return False
    begins = [rule.valid_from for rule in (one, other) if rule.valid_from is not None]
    ends = [rule.valid_until for rule in (one, other) if rule.valid_until is not None]
    return not begins or not ends or max(begins) < min(ends)


def _wanted_by_both(one: Rule, other: Rule) -> Iterator[str]:
    pins, other_pins = _pins(one), _pins(other)
    for document_id, rank in pins.items():
        if document_id in other_pins and other_pins[document_id] != rank:
            yield f"document {document_id} at rank {rank} and {other_pins[document_id]}"
    ranks = {rank: document_id for document_id, rank in other_pins.items()}
    for document_id, rank in pins.items():
        if ranks.get(rank, document_id) != document_id:
            yield f"documents {document_id} and {ranks[rank]} at rank {rank}"
    for pinned, hidden in ((pins, _hidden(other)), (other_pins, _hidden(one))):
        for document_id in pinned:
            if document_id in hidden:
                yield f"document {document_id} pinned and hidden"
    if _redirects(one) and _redirects(other):
        yield "a redirect each"


def _pins(rule: Rule) -> dict[str, int]:
    return {action.document_id: action.rank for action in rule.actions if isinstance(action, PinAction)}


def _hidden(rule: Rule) -> set[str]:
    return {action.document_id for action in rule.actions if isinstance(action, HideAction) and action.document_id}


def _redirects(rule: Rule) -> bool:
    return any(isinstance(action, RedirectAction) for action in rule.actions)
