"""What the rules that fired for a search ask for, taken together. Pure.

    rules that fired, in order of precedence
    -> scope      every filter applies, and nothing hidden is there: a hide is stronger than a pin
    -> boosts     boosts and buries multiply, together by a hundred at most, or by a hundredth
    -> pins       a document's first pin counts; if its rank is taken, it gets the next free one below
    -> redirect   the first one; user data of all rules, in order

`searchsvc.rules.rewriting` comes first: it changes the words that are searched. docs/how-to/rules.md says the same to
those who write rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from events.rules import (
    MAX_FACTOR,
    MIN_FACTOR,
    Action,
    BoostAction,
    BuryAction,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    UserDataAction,
)
from searchsvc.engines.filters import AllOf, AnyOf, Filter, Is, Not
from searchsvc.rules.rulebook import PreparedRule
from tuning.arrays import ScoreArray


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one action of a rule did to an answer.

    rule: id of the rule.
    action: tag of the action.
    n_candidates: number of candidates whose scores it changed.
    words: query that is searched instead.
    note: why it did nothing, or something else than it says.
    """

    rule: str
    action: str
    document_id: str = ""
    rank: int | None = None
    factor: float | None = None
    n_candidates: int | None = None
    words: str | None = None
    note: str = ""

    @property
    def took_effect(self) -> bool:
        """Whether it did anything."""
        return not self.note or self.rank is not None


class Boost(msgspec.Struct, frozen=True):
    """A boost or bury; see `events.rules.BoostAction`. filter: None boosts every document."""

    rule: str
    action: str
    factor: float
    filter: Filter | None
    signal: str


class Pin(msgspec.Struct, frozen=True):
    """A pinned document.

    rank: rank that it gets.
    requested_rank: rank that its rule asks for.
    """

    rule: str
    document_id: str
    rank: int
    requested_rank: int


class Directives(msgspec.Struct, frozen=True):
    """What all rules ask for.

    scope: filter that every document must pass; None for all documents.
    pins: by rank.
    effects: of actions whose effect is known before retrieval.
    """

    scope: Filter | None = None
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    redirect: str | None = None
    user_data: tuple[object, ...] = ()
    effects: tuple[Effect, ...] = ()

    @property
    def boosted_filter(self) -> Filter | None:
        """Filter of the documents that must be among the candidates because a boost raises them."""
        filters = tuple(boost.filter for boost in self.boosts if boost.filter is not None and boost.factor > 1.0)
        return AnyOf(filters) if len(filters) > 1 else filters[0] if filters else None


def combine_actions(fired: Sequence[PreparedRule], is_valid: Callable[[Filter], bool]) -> Directives:
    """Combine the actions of rules, in order of precedence.

    is_valid: whether the index has what a filter names; an action with an invalid filter does nothing, and says so.
    """
    scope, hidden, boosts = list[Filter](), list[str](), list[Boost]()
    redirect, user_data = None, list[object]()
    effects = list[Effect]()
    for rule, action, condition in _actions(fired):
        if condition is not None and not is_valid(condition):
            effects.append(Effect(rule, action_name(action), note="no document has what its filter names"))
            continue
        match action:
            case FilterAction() if condition is not None:
                scope.append(condition)
                effects.append(Effect(rule, "filter"))
            case HideAction(document_id=document_id):
                if condition is not None:
                    scope.append(Not(condition))
                else:
                    hidden.append(document_id)
                effects.append(Effect(rule, "hide", document_id))
            case BoostAction(factor=factor, signal=signal) | BuryAction(factor=factor, signal=signal):
                boosts.append(Boost(rule, action_name(action), factor, condition, signal))
            case RedirectAction(url=url):
                effects.append(Effect(rule, "redirect", note="" if redirect is None else f"{redirect} came first"))
                redirect = url if redirect is None else redirect
            case UserDataAction(data=data):
                user_data.append(data)
                effects.append(Effect(rule, "user_data"))
            case _:
                pass
    if hidden:
        # One comparison for all of them.
        scope.append(Not(Is("id", tuple(hidden))))
    pins, pin_effects = _assign_pins(fired)
    whole_scope = AllOf(tuple(scope)) if len(scope) > 1 else scope[0] if scope else None
    return Directives(whole_scope, tuple(boosts), pins, redirect, tuple(user_data), (*effects, *pin_effects))


def apply_factors(scores: ScoreArray, factors: ScoreArray) -> ScoreArray:
    """Multiply scores by factors; a score below 0 is divided, so that a boost raises it too.

    scores: (n,).
    factors: (n,), above 0.
    """
    multiplied: ScoreArray = np.where(scores >= 0.0, scores * factors, scores / factors)
    return multiplied


def clip_factors(factors: ScoreArray) -> ScoreArray:
    """Limit the product of several boosts. factors: (n,)."""
    clipped: ScoreArray = np.clip(factors, MIN_FACTOR, MAX_FACTOR)
    return clipped


def place_pins(order: Sequence[int], pins: Sequence[tuple[int, int]]) -> list[int]:
    """Move pinned positions to their ranks, and return the ranking.

    order: positions, best first; pinned ones may be among them or not.
    pins: (rank, position), ranks ascending from 1; ranks beyond the end come last.
    """
    pinned = {position for _, position in pins}
    ranking = [position for position in order if position not in pinned]
    for rank, position in pins:
        ranking.insert(rank - 1, position)
    return ranking


def action_name(action: Action) -> str:
    """Return the tag of an action, such as `pin`."""
    return str(action.__struct_config__.tag)


def _actions(fired: Sequence[PreparedRule]) -> Iterator[tuple[str, Action, Filter | None]]:
    """Yield each action with the id of its rule and its filter, if it has one."""
    for prepared in fired:
        for i, action in enumerate(prepared.stored.rule.actions):
            yield prepared.stored.id, action, prepared.filters.get(f"actions[{i}].filter")


def _assign_pins(fired: Sequence[PreparedRule]) -> tuple[tuple[Pin, ...], list[Effect]]:
    """Give each pinned document a rank, and return the effects of pins that get none."""
    by_rank: dict[int, Pin] = {}
    by_document: dict[str, Pin] = {}
    next_free: dict[int, int] = {}
    rejected = []
    for rule, action, _ in _actions(fired):
        if not isinstance(action, PinAction):
            continue
        document_id, rank = action.document_id, next_free.get(action.rank, action.rank)
        earlier = by_document.get(document_id)
        if earlier is not None:
            note = f"rule {earlier.rule} pins it at rank {earlier.rank}"
            rejected.append(Effect(rule, "pin", document_id, note=note))
            continue
        while rank in by_rank:
            rank += 1
        by_rank[rank] = by_document[document_id] = Pin(rule, document_id, rank, action.rank)
        next_free[action.rank] = rank + 1
    return tuple(by_rank[rank] for rank in sorted(by_rank)), rejected
