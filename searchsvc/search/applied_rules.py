"""How rules change one search: which of them fire, what is searched instead, and what they direct."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final

import msgspec

from events.errors import InvalidInput
from events.settings import IndexSettings, Typos
from searchsvc.analysis.adjacent_words import NO_ADJACENT_WORDS, AdjacentWords
from searchsvc.analysis.alternatives import Tolerance
from searchsvc.analysis.folding import fold
from searchsvc.analysis.languages import Languages
from searchsvc.analysis.query import Query
from searchsvc.analysis.query_syntax import read_query
from searchsvc.analysis.understanding import TOLERANT, understand
from searchsvc.engines.filters import Filter
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.rules.conditions import SearchContext, Stems, filter_conjuncts, stems_of
from searchsvc.rules.costs import MAX_SEARCH_COST
from searchsvc.rules.directives import Directives, Effect, combine_actions
from searchsvc.rules.rewriting import rewrite_query
from searchsvc.rules.rulebook import PreparedRule, Rulebook
from searchsvc.search.request import SearchFilters, SearchRequest

SORTED: Final = "the search has an order of its own"


class AppliedRules(msgspec.Struct, frozen=True):
    """The rules that fired for one search.

    query: the query as it is searched.
    context: what conditions looked at.
    directives: what the rules ask for, taken together.
    fired: ids of the rules, in order of precedence.
    left_out: ids of rules that would have fired too, if those before them did not cost as much as a search may.
    effects: what they did, as far as that is known before retrieval.
    """

    query: Query
    context: SearchContext
    directives: Directives
    fired: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()

    def summarize(self, later_effects: Sequence[Effect]) -> tuple[list[str], list[Effect]]:
        """Return the ids of the rules that had an effect, and all effects, both in order of precedence.

        later_effects: effects that became known during ranking.
        """
        synonyms = [Effect(rule, "synonym") for rule in self.query.rule_ids]
        effects = [*self.effects, *later_effects, *synonyms]
        effective = {effect.rule for effect in effects if effect.took_effect}
        precedence = {rule: position for position, rule in enumerate((*self.fired, *self.query.rule_ids))}
        return (
            sorted(effective, key=precedence.__getitem__),
            sorted(effects, key=lambda effect: precedence[effect.rule]),
        )


def apply_rules(
    snapshot: EngineSnapshot,
    book: Rulebook,
    settings: IndexSettings,
    request: SearchRequest,
    filters: SearchFilters,
    now: datetime,
    adjacent: AdjacentWords = NO_ADJACENT_WORDS,
) -> AppliedRules:
    """Find the rules that fire for a request and understand its query as they change it.

    A corrected query counts as typed: rules whose patterns match only the correction fire too. No rule fires because of
    what another rule made of the query.

    settings: of the index, as CONTROL has them.
    adjacent: words side by side in its titles.
    """
    languages, tolerance = book.languages, _tolerance(settings) if request.typos else None
    stop_words = None if settings.stop_words is msgspec.UNSET else frozenset(map(fold, settings.stop_words))

    def understood(text: str, fired: Sequence[PreparedRule]) -> Query:
        return understand(
            text,
            snapshot.lexicon,
            book.synonyms_for(fired, now),
            typing=request.typing,
            tolerance=tolerance,
            stop_words=stop_words,
            adjacent=adjacent,
        )

    context = _context(request, filters, _typed_stems(request.query, languages))
    fired, left_out = _within_cost(book.find_rules(context, now))
    text, effects = rewrite_query(request.query, fired, languages)
    query = understood(text, fired)
    correction = query.did_you_mean
    if text != request.query:
        correction = understood(request.query, fired).did_you_mean
    if correction:
        context = msgspec.structs.replace(context, queries=(*context.queries, stems_of(correction, languages)))
        with_corrected, left_out = _within_cost(book.find_rules(context, now))
        if _ids(with_corrected) != _ids(fired):
            fired = with_corrected
            corrected, effects = rewrite_query(correction, fired, languages)
            changed = corrected != correction
            understood_again = understood(corrected if changed else text, fired)
            did_you_mean = corrected if changed else understood_again.did_you_mean or correction
            query = msgspec.structs.replace(understood_again, did_you_mean=did_you_mean)
    return _applied(query, context, fired, left_out, effects, snapshot, request)


def apply_rules_without_query(
    snapshot: EngineSnapshot,
    book: Rulebook,
    request: SearchRequest,
    filters: SearchFilters,
    now: datetime,
    query: Query,
) -> AppliedRules:
    """Apply the rules of a search that has no query text; rules with a pattern never fire for it."""
    context = _context(request, filters, ())
    fired, left_out = _within_cost(book.find_rules(context, now))
    return _applied(query, context, fired, left_out, [], snapshot, request)


def _within_cost(fired: Sequence[PreparedRule]) -> tuple[list[PreparedRule], list[PreparedRule]]:
    """Return the first rules, as many as one search may cost, and the others. fired: in order of precedence"""
    n = sum(cost <= MAX_SEARCH_COST for cost in accumulate(rule.cost for rule in fired))
    return list(fired[:n]), list(fired[n:])


def _typed_stems(query: str, languages: Languages) -> tuple[Stems, ...]:
    """Return what patterns are compared with: the query's stems, no stems for browsing, nothing for mere signs."""
    stems = stems_of(read_query(query).text, languages)
    return (stems,) if stems or not query.strip() else ()


def _context(request: SearchRequest, filters: SearchFilters, queries: tuple[Stems, ...]) -> SearchContext:
    return SearchContext(
        queries=queries,
        tags=frozenset(request.context),
        scope=filter_conjuncts(filters.scope),
        filters=filter_conjuncts(filters.refined),
        user_segment=request.user_segment,
        experiment=request.experiment,
    )


def _tolerance(settings: IndexSettings) -> Tolerance | None:
    """Return how far words may be misspelt; None if the index tolerates no errors."""
    typos = settings.typos
    if isinstance(typos, Typos):
        return Tolerance(typos.one_from, typos.two_from, frozenset(map(fold, typos.exact)))
    return None if typos is False else TOLERANT


def _applied(
    query: Query,
    context: SearchContext,
    fired: Sequence[PreparedRule],
    left_out: Sequence[PreparedRule],
    effects: Sequence[Effect],
    snapshot: EngineSnapshot,
    request: SearchRequest,
) -> AppliedRules:
    def is_valid(condition: Filter) -> bool:
        try:
            snapshot.check_filter(condition, "filter")
        except InvalidInput:
            return False
        return True

    directives = combine_actions(fired, is_valid) if fired else Directives()
    all_effects = [*effects, *directives.effects]
    if request.has_own_order:
        all_effects += [
            Effect(boost.rule, boost.action, factor=boost.factor, note=SORTED) for boost in directives.boosts
        ]
        all_effects += [Effect(pin.rule, "pin", pin.document_id, note=SORTED) for pin in directives.pins]
        directives = msgspec.structs.replace(directives, boosts=(), pins=())
    return AppliedRules(query, context, directives, _ids(fired), _ids(left_out), tuple(all_effects))


def _ids(rules: Sequence[PreparedRule]) -> tuple[str, ...]:
    return tuple(rule.stored.id for rule in rules)
