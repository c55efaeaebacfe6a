"""What comes of the rules that fired for a search, taken together. Pure.

    rules that fired, in order of precedence
    -> the words that are searched    replaced and removed in that order: a rule sees what those before it left
    -> what is there at all           every filter, and nothing that is hidden: a hide is stronger than a pin
    -> scores                         boosts and buries multiply, together by a hundred at most, or by a hundredth
    -> pins                           a document's first one counts; where its rank is taken, the next free one below
    -> redirect                       the first; of user data all, in order

docs/how-to/rules.md says the same to those who write rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

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
    RemoveWordsAction,
    ReplaceWordsAction,
    UserDataAction,
)
from searchsvc.analysis.analyzer import spans
from searchsvc.engines.filters import AllOf, AnyOf, Filter, Is, Not
from searchsvc.rules.conditions import Stems, stems_of
from searchsvc.rules.rulebook import PreparedRule
from tuning.arrays import ScoreArray

# As long as somebody may type.
MAX_REWRITTEN_CHARS: Final = 512


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one action of a rule did to an answer. n_candidates: whose scores it changed. words: searched instead. note:
    where it did nothing, or something else than it says, why."""

    rule: str
    action: str
    document_id: str = ""
    rank: int | None = None
    factor: float | None = None
    n_candidates: int | None = None
    words: str | None = None
    note: str = ""

    @property
    def took_place(self) -> bool:
        return not self.note or self.rank is not None


class Boost(msgspec.Struct, frozen=True):
    """See `events.rules.BoostAction`. filter: None for all."""

    rule: str
    action: str
    factor: float
    filter: Filter | None
    signal: str


class Pin(msgspec.Struct, frozen=True):
    """rank: that it gets, of the one that was asked for."""

    rule: str
    document_id: str
    rank: int
    requested_rank: int


class Directives(msgspec.Struct, frozen=True):
    """within: what is there at all; None for all. pins: by rank. effects: of what needs no search to be known."""

    within: Filter | None = None
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    redirect: str | None = None
    user_data: tuple[object, ...] = ()
    effects: tuple[Effect, ...] = ()

    @property
    def lifted(self) -> Filter | None:
        """What is to be among the candidates because it is boosted."""
        filters = tuple(one.filter for one in self.boosts if one.filter is not None and one.factor > 1.0)
        return AnyOf(filters) if len(filters) > 1 else filters[0] if filters else None


def combine_actions(fired: Sequence[PreparedRule], knows: Callable[[Filter], bool]) -> Directives:
    """fired: in order of precedence. knows: whether an index has what a filter names; one that names something else by
    now is left out, and says so."""
    within, boosts = list[Filter](), list[Boost]()
    redirect, user_data = None, list[object]()
    effects = list[Effect]()
    for rule, action, given in _actions(fired):
        if given is not None and not knows(given):
            effects.append(Effect(rule, _name(action), note="no document has what its filter names"))
            continue
        match action:
            case FilterAction() if given is not None:
                within.append(given)
                effects.append(Effect(rule, "filter"))
            case HideAction(document_id=document_id):
                within.append(Not(given if given is not None else Is("id", (document_id,))))
                effects.append(Effect(rule, "hide", document_id))
            case BoostAction(factor=factor, signal=signal):
                boosts.append(Boost(rule, "boost", factor, given, signal))
            case BuryAction(factor=factor, signal=signal):
                boosts.append(Boost(rule, "bury", factor, given, signal))
            case RedirectAction(url=url):
                effects.append(Effect(rule, "redirect", note="" if redirect is None else f"{redirect} came first"))
                redirect = url if redirect is None else redirect
            case UserDataAction(data=data):
                user_data.append(data)
                effects.append(Effect(rule, "user_data"))
            case _:
                pass
    pins, lost = _pins(fired)
    joined = AllOf(tuple(within)) if len(within) > 1 else within[0] if within else None
    return Directives(joined, tuple(boosts), pins, redirect, tuple(user_data), (*effects, *lost))


def rewrite_query(text: str, fired: Sequence[PreparedRule]) -> tuple[str, list[Effect]]:
    """A query as rules want it searched. fired: in order of precedence."""
    effects = []
    for rule, action, _ in _actions(fired):
        before = text
        match action:
            case ReplaceWordsAction(of=of, to=to):
                text = _replaced(text, stems_of(of), to) if of else to
            case RemoveWordsAction(words=words):
                for word in words:
                    left = _replaced(text, stems_of(word), "")
                    text = left if stems_of(left) else text
            case _:
                continue
        note = "" if text != before else "the query does not hold these words, or nothing else"
        if len(text) > MAX_REWRITTEN_CHARS:
            text, note = before, f"it would make the query longer than {MAX_REWRITTEN_CHARS} characters"
        effects.append(Effect(rule, _name(action), words=text, note=note))
    return text, effects


def apply_factors(scores: ScoreArray, factors: ScoreArray) -> ScoreArray:
    """(n,) scores times factors, which are above 0; a score below 0 is divided, so that a boost raises it, too."""
    raised: ScoreArray = np.where(scores >= 0.0, scores * factors, scores / factors)
    return raised


def clip_factors(factors: ScoreArray) -> ScoreArray:
    """What several boosts come to, together."""
    within: ScoreArray = np.clip(factors, MIN_FACTOR, MAX_FACTOR)
    return within


def place_pins(order: Sequence[int], pinned: Sequence[tuple[int, int]]) -> list[int]:
    """A ranking with some of it moved to where it is pinned. order: positions, best first, of which those that are
    pinned may be any or none. pinned: (rank, position), ranks ascending, counted from 1; beyond the end they come
    last."""
    moved = {position for _, position in pinned}
    ranking = [position for position in order if position not in moved]
    for rank, position in pinned:
        ranking.insert(rank - 1, position)
    return ranking


def _actions(fired: Sequence[PreparedRule]) -> Iterator[tuple[str, Action, Filter | None]]:
    """Each action with the id of its rule and, where it has one, its filter."""
    for one in fired:
        for i, action in enumerate(one.stored.rule.actions):
            yield one.stored.id, action, one.filters.get(f"actions[{i}].filter")


def _pins(fired: Sequence[PreparedRule]) -> tuple[tuple[Pin, ...], list[Effect]]:
    """Where documents are pinned, and what became of pins for which there was no place."""
    by_rank: dict[int, Pin] = {}
    by_document: dict[str, Pin] = {}
    lost = []
    for rule, action, _ in _actions(fired):
        if not isinstance(action, PinAction):
            continue
        document_id, rank = action.document_id, action.rank
        other = by_document.get(document_id)
        if other is not None:
            note = f"rule {other.rule} pins it at rank {other.rank}"
            lost.append(Effect(rule, "pin", document_id, note=note))
            continue
        while rank in by_rank:
            rank += 1
        by_rank[rank] = by_document[document_id] = Pin(rule, document_id, rank, action.rank)
    return tuple(by_rank[rank] for rank in sorted(by_rank)), lost


def _replaced(text: str, of: Stems, to: str) -> str:
    """A text in which every place that holds some stems, one after the other, is replaced."""
    tokens = [(span.start, span.end, stems_of(text[span.start : span.end])) for span in spans(text)]
    parts, kept_from, i = list[str](), 0, 0
    while i < len(tokens):
        n = _n_tokens(tokens[i:], of)
        if n:
            parts += [text[kept_from : tokens[i][0]], to]
            kept_from = tokens[i + n - 1][1]
        i += n or 1
    return " ".join(" ".join([*parts, text[kept_from:]]).split())


def _n_tokens(tokens: Sequence[tuple[int, int, Stems]], of: Stems) -> int:
    """How many of the first tokens are just these stems; 0 where they are not."""
    held: Stems = ()
    for n, (_, _, stems) in enumerate(tokens, start=1):
        held += stems
        if len(held) >= len(of):
            return n if held == of else 0
    return 0


def _name(action: Action) -> str:
    return str(action.__struct_config__.tag)
