"""How rules steer one search: which of them fire, what is searched instead, and what becomes of scores and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from events.errors import InvalidInput
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.engines.filters import Filter
from searchsvc.engines.protocol import EngineSnapshot, Reading
from searchsvc.rules.conditions import SearchContext, Stems, filter_conjuncts, stems_of
from searchsvc.rules.directives import Boost, Directives, Effect, clip_factors, combine_actions, rewrite_query
from searchsvc.rules.rulebook import PreparedRule, Rulebook, sort_by_precedence
from searchsvc.search.answer import BoostShare
from searchsvc.search.candidates import Candidates
from searchsvc.search.request import SearchRequest
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import SIGNAL_PREFIX

SORTED: Final = "the search has an order of its own"


class AppliedRules(msgspec.Struct, frozen=True):
    """query: as it is searched. occasion: what conditions looked at. fired: ids of rules, in order of precedence.
    effects: as far as they are known before anything is found."""

    query: Query
    occasion: SearchContext
    directives: Directives
    fired: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()

    def applied(self, later: Sequence[Effect]) -> tuple[list[str], list[Effect]]:
        """The rules that did something, in order of precedence, and all that was done. later: what became known
        since."""
        synonyms = [Effect(rule, "synonym") for rule in self.query.rule_ids]
        effects = [*self.effects, *later, *synonyms]
        did = {effect.rule for effect in effects if effect.took_place}
        order = {rule: at for at, rule in enumerate((*self.fired, *self.query.rule_ids))}
        return sorted(did, key=order.__getitem__), sorted(effects, key=lambda effect: order[effect.rule])


def steer(
    snapshot: EngineSnapshot, book: Rulebook, request: SearchRequest, filters: Filter | None, now: datetime
) -> AppliedRules:
    """Understand a request's query, as its rules want it understood."""
    occasion = _occasion(request, filters, _typed(request.query))
    fired = book.fired(occasion, now)
    text, effects = rewrite_query(request.query, fired)
    query = _understood(text, snapshot, book, fired, request, now)
    meant = query.did_you_mean
    if text != request.query:
        # Of what was typed, not of what rules made of it: no rule fires because of another.
        meant = _understood(request.query, snapshot, book, fired, request, now).did_you_mean
    if meant:
        # Who typed it wrong meant it all the same.
        occasion = msgspec.structs.replace(occasion, queries=(*occasion.queries, stems_of(meant)))
        known = {one.stored.id for one in fired}
        more = [one for one in book.fired(occasion, now) if one.stored.id not in known]
        if more:
            fired = sort_by_precedence([*fired, *more])
            corrected, effects = rewrite_query(meant, fired)
            changed = corrected != meant
            again = _understood(corrected if changed else text, snapshot, book, fired, request, now)
            query = msgspec.structs.replace(again, did_you_mean=corrected if changed else again.did_you_mean or meant)
    return _steering(query, occasion, fired, effects, snapshot, request)


def steer_without_query(
    snapshot: EngineSnapshot,
    book: Rulebook,
    request: SearchRequest,
    filters: Filter | None,
    now: datetime,
    query: Query,
) -> AppliedRules:
    """For a search that asks for no words: rules that look at the query never fire."""
    occasion = _occasion(request, filters, ())
    return _steering(query, occasion, book.fired(occasion, now), [], snapshot, request)


def boost_factors(
    reading: Reading,
    boosts: Sequence[Boost],
    candidates: Candidates,
    names: Sequence[str],
    features: FloatArray,
) -> tuple[ScoreArray, list[list[BoostShare]], list[Effect]]:
    """(n,) what each candidate's score is multiplied by; of each, the boosts that do; and what each boost did."""
    n, n_ranked = len(candidates.slots), candidates.n_ranked
    if not boosts:
        return np.ones(n), [], []
    product, shares, effects = np.ones(n), [list[BoostShare]() for _ in range(n)], list[Effect]()
    ranked = candidates.slots[:n_ranked]
    for boost in boosts:
        signal = SIGNAL_PREFIX + boost.signal
        if boost.signal and signal not in names:
            effects.append(Effect(boost.rule, boost.action, factor=boost.factor, note="there is no such signal"))
            continue
        factors = np.full(n_ranked, boost.factor)
        if boost.signal:
            factors = 1.0 + (boost.factor - 1.0) * features[:n_ranked, names.index(signal)].astype(np.float64)
        if boost.filter is not None:
            factors = np.where(reading.passes(ranked, boost.filter), factors, 1.0)
        product[:n_ranked] *= factors
        changed = np.flatnonzero(factors != 1.0).tolist()
        for at in changed:
            shares[at].append(BoostShare(boost.rule, float(factors[at])))
        note = "" if changed else "no candidate passes its filter, or has the signal"
        effects.append(Effect(boost.rule, boost.action, factor=boost.factor, n_candidates=len(changed), note=note))
    return clip_factors(product), shares, effects


def pinned_positions(
    reading: Reading, candidates: Candidates, steering: AppliedRules, pinned: Sequence[int]
) -> list[tuple[int, int]]:
    """(rank, position) of the pinned documents that are there, by rank. pinned: their slots."""
    slot_of = {reading.id(slot): slot for slot in pinned}
    position_of = {slot: at for at, slot in enumerate(candidates.slots.tolist())} if pinned else {}
    there = [(pin.rank, slot_of[pin.document_id]) for pin in steering.directives.pins if pin.document_id in slot_of]
    return [(rank, position_of[slot]) for rank, slot in there if slot in position_of]


def pin_effects(steering: AppliedRules, ranks: Mapping[str, int], window: int) -> list[Effect]:
    """What became of each pin. ranks: by id, of the pinned documents that are there, in a ranking that may go on beyond
    the window: who is pinned where there is nothing comes last."""
    effects = []
    for pin in steering.directives.pins:
        if pin.document_id not in ranks:
            note = "the document is not there, is hidden or is filtered out"
            effects.append(Effect(pin.rule, "pin", pin.document_id, note=note))
        else:
            note = "" if pin.rank == pin.requested_rank else f"rank {pin.requested_rank} was taken"
            rank = ranks[pin.document_id]
            effects.append(Effect(pin.rule, "pin", pin.document_id, rank if rank <= window else pin.rank, note=note))
    return effects


def _typed(query: str) -> tuple[Stems, ...]:
    """What patterns are held against: no words at all for who browses; nothing for signs that are no words."""
    stems = stems_of(query)
    return (stems,) if stems or not query.strip() else ()


def _occasion(request: SearchRequest, filters: Filter | None, queries: tuple[Stems, ...]) -> SearchContext:
    context = frozenset(request.context)
    return SearchContext(queries, context, filter_conjuncts(filters), request.user_segment, request.experiment)


def _understood(
    text: str,
    snapshot: EngineSnapshot,
    book: Rulebook,
    fired: Sequence[PreparedRule],
    request: SearchRequest,
    now: datetime,
) -> Query:
    synonyms = book.synonyms(fired, now)
    return understand(text, snapshot.lexicon, synonyms, typing=request.typing, typos=request.typos)


def _steering(
    query: Query,
    occasion: SearchContext,
    fired: Sequence[PreparedRule],
    effects: Sequence[Effect],
    snapshot: EngineSnapshot,
    request: SearchRequest,
) -> AppliedRules:
    def knows(given: Filter) -> bool:
        try:
            snapshot.check_filter(given, "filter")
        except InvalidInput:
            return False
        return True

    wanted = combine_actions(fired, knows) if fired else Directives()
    told = [*effects, *wanted.effects]
    if request.sort:
        told += [Effect(one.rule, one.action, factor=one.factor, note=SORTED) for one in wanted.boosts]
        told += [Effect(one.rule, "pin", one.document_id, note=SORTED) for one in wanted.pins]
        wanted = msgspec.structs.replace(wanted, boosts=(), pins=())
    return AppliedRules(query, occasion, wanted, tuple(one.stored.id for one in fired), tuple(told))
