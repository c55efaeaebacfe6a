"""Rules for the same searches that ask for what cannot be had together. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events.index_control import StoredRule
from events.rules import HideAction, PinAction, RedirectAction, Rule
from searchsvc.rules.rulebook import Rulebook


class RuleConflict(msgspec.Struct, frozen=True):
    """Another rule that can fire for the same searches and asks for something incompatible.

    rule: id of the other rule.
    subject: what both ask for.
    winner: id of the rule that gets it, as far as precedence tells.
    """

    rule: str
    subject: str
    winner: str


def find_conflicts(stored: StoredRule, book: Rulebook) -> list[RuleConflict]:
    """Return the conflicts of a rule with others, in order of precedence. book: all rules, this one among them."""
    conflicts = []
    other_wins = True
    for other in (rule.stored for rule in book.find_overlapping(stored.id)):
        if other.id == stored.id:
            other_wins = False
        elif stored.rule.is_in_force_with(other.rule):
            winner = other.id if other_wins else stored.id
            conflicts += [RuleConflict(other.id, subject, winner) for subject in _subjects(stored.rule, other.rule)]
    return conflicts


def _subjects(first: Rule, second: Rule) -> Iterator[str]:
    """Yield what both rules ask for and only one can have."""
    pins, other_pins = _pins(first), _pins(second)
    for document_id, rank in pins.items():
        if document_id in other_pins and other_pins[document_id] != rank:
            yield f"document {document_id} at rank {rank} and {other_pins[document_id]}"
    documents = {rank: document_id for document_id, rank in other_pins.items()}
    for document_id, rank in pins.items():
        if documents.get(rank, document_id) != document_id:
            yield f"documents {document_id} and {documents[rank]} at rank {rank}"
    for pinned, hidden in ((pins, _hidden(second)), (other_pins, _hidden(first))):
        for document_id in pinned:
            if document_id in hidden:
                yield f"document {document_id} pinned and hidden"
    if _redirects(first) and _redirects(second):
        yield "a redirect each"


def _pins(rule: Rule) -> dict[str, int]:
    return {action.document_id: action.rank for action in rule.actions if isinstance(action, PinAction)}


def _hidden(rule: Rule) -> set[str]:
    return {action.document_id for action in rule.actions if isinstance(action, HideAction) and action.document_id}


def _redirects(rule: Rule) -> bool:
    return any(isinstance(action, RedirectAction) for action in rule.actions)
