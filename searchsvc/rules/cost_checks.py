"""Whether rules may cost what they would: see `searchsvc.rules.costs`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events.errors import InvalidInput
from events.index_control import StoredRule
from events.rules import Rule, SynonymAction
from searchsvc.analysis.languages import Languages
from searchsvc.rules.conditions import Stems, stems_of
from searchsvc.rules.costs import MAX_SEARCH_COST, MAX_SYNONYM_WORDS
from searchsvc.rules.rulebook import Rulebook


class RuleCost(msgspec.Struct, frozen=True):
    """What a rule costs searches, together with the others that can be in force at the same time.

    search: what the rules cost that fire for the costliest search that just meets it
    max_search: how much they may
    synonym_words: the most words that the synonyms of one of its phrases add to a query
    max_synonym_words: how many they may
    """

    search: int
    max_search: int
    synonym_words: int
    max_synonym_words: int


def cost_of(stored: StoredRule, book: Rulebook) -> RuleCost:
    """Return the cost of a rule. book: all rules, this one among them"""
    phrases = {phrase for _, phrase, _ in synonym_phrases(stored.rule, book.languages)}
    most_words = max((_synonym_words(phrase, stored.rule, book) for phrase in phrases), default=0)
    return RuleCost(_costliest_search(stored.id, book), MAX_SEARCH_COST, most_words, MAX_SYNONYM_WORDS)


def check_costs(stored: StoredRule, before: Rulebook, after: Rulebook) -> None:
    """Raise InvalidInput if a rule makes searches cost more than they may. One that makes them cost less is accepted.

    before: the book without the change that writes it
    after: the book with it
    """
    cost = _costliest_search(stored.id, after)
    if cost > max(MAX_SEARCH_COST, _costliest_search(stored.id, before)):
        limit = f"at most {MAX_SEARCH_COST}: what the rules cost together that fire for a search"
        message = f"with rule {stored.id}, a search that just meets it costs {cost:,}; allowed: {limit}"
        raise InvalidInput(message, field="actions", value=cost, limit=limit)
    for path, phrase, text in synonym_phrases(stored.rule, after.languages):
        n_words = _synonym_words(phrase, stored.rule, after)
        if n_words > max(MAX_SYNONYM_WORDS, _synonym_words(phrase, stored.rule, before)):
            limit = f"at most {MAX_SYNONYM_WORDS} words in the synonyms of one phrase, of all rules"
            message = f"with rule {stored.id}, {path} {text!r} has {n_words:,} words of synonyms; allowed: {limit}"
            raise InvalidInput(message, field=path, value=n_words, limit=limit)


def synonym_phrases(rule: Rule, languages: Languages) -> Iterator[tuple[str, Stems, str]]:
    """Yield each phrase that a rule gives synonyms to, with the path of its member and as it is written."""
    for i, action in enumerate(rule.actions):
        if isinstance(action, SynonymAction):
            for name, phrases in (("words", action.words), ("from", action.of)):
                for j, text in enumerate(phrases):
                    yield f"actions[{i}].{name}[{j}]", stems_of(text, languages), text


def _costliest_search(rule_id: str, book: Rulebook) -> int:
    """Return what the rules cost that fire together with a rule, for the costliest search that just meets it."""
    return max((sum(rule.cost for rule in met) for met in book.find_together(rule_id)), default=0)


def _synonym_words(phrase: Stems, rule: Rule, book: Rulebook) -> int:
    """Return how many words the synonyms of a phrase add to a query, of all rules that are in force when this one is.

    A word counts for each word of the phrase: it stands for each of them.
    """
    synonyms = book.synonyms_of_phrase(phrase)
    in_force = {name: book.rules[name].rule.is_in_force_with(rule) for name in {s.rule_id for s in synonyms}}
    return len(phrase) * sum(map(len, {synonym.words for synonym in synonyms if in_force[synonym.rule_id]}))
