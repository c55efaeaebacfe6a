"""What rules cost each search, and how much they may. Pure.

    cost of an action   1; with a filter, as many as it has comparisons, one of many values counting for each ten of
                        them; of words removed, as many as there are; of `user_data`, one more for each KiB. Synonyms
                        are counted apart, and cost nothing here.
    cost of a search    that of all rules that fire for it; as many as `MAX_SEARCH_COST` allows apply, in order of
                        precedence.
    words of a phrase   what its synonyms add to a query that has it: n words for a phrase of m words count m x n.

A rule is refused if a search that just meets it would cost too much, or if one of its phrases would have too many words
of synonyms, together with all other rules that can be in force at the same time. A search may meet more rules than a
search that just meets any of them: then those of lower precedence are left out, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from events.rules import Action, RemoveWordsAction, Rule, SynonymAction, UserDataAction
from events.sizes import KIB
from searchsvc.engines.filters import Comparison, Filter, Is, clauses

# A boost with a filter takes the embedded engine 0.15 ms in an index of 20,000 documents, other actions a tenth of it.
MAX_SEARCH_COST: Final = 500
# A frequent word takes about 1 ms there. See also `searchsvc.analysis.understanding.MAX_ADDED_WORDS`.
MAX_SYNONYM_WORDS: Final = 100
# Pairs of a phrase and a synonym among all rules of an index; about 250 bytes each.
MAX_SYNONYM_PAIRS: Final = 200_000
VALUES_COMPARED_AS_ONE: Final = 10


def cost_of_actions(actions: Sequence[Action], filters: Mapping[str, Filter]) -> int:
    """Return what a rule adds to a search for which it fires.

    filters: parsed, by the path of their member, as in `events.rules.filters_of`
    """
    return sum(_cost(action, filters.get(f"actions[{i}].filter")) for i, action in enumerate(actions))


def n_synonym_pairs(rules: Iterable[Rule]) -> int:
    """Return how many pairs of a phrase and a synonym enabled rules have, without making them."""
    return sum(
        len(action.words) * (len(action.words) - 1) + len(action.of) * len(action.to)
        for rule in rules
        if rule.enabled
        for action in rule.actions
        if isinstance(action, SynonymAction)
    )


def _cost(action: Action, condition: Filter | None) -> int:
    match action:
        case SynonymAction():
            return 0
        case RemoveWordsAction(words=words):
            return len(words)
        case UserDataAction(data=data):
            return 1 + len(msgspec.json.encode(data)) // KIB
        case _:
            return max(1, sum(map(_n_compared, clauses(condition)))) if condition is not None else 1


def _n_compared(clause: Comparison) -> int:
    return -(-len(clause.values) // VALUES_COMPARED_AS_ONE) if isinstance(clause, Is) else 1
