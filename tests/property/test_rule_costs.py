"""However rules are written, what is accepted adds a bounded amount of work to each query."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from events.edits import SetRule
from events.errors import InvalidInput
from events.rules import BoostAction, Conditions, HideAction, QueryPattern, Rule, SynonymAction
from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import MAX_ADDED_WORDS
from searchsvc.changes.edit_checks import check_together
from searchsvc.rules.costs import MAX_SEARCH_COST, MAX_SYNONYM_WORDS
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, edited, engine, serving, upsert
from tests.rules import made_up_words

WORDS = made_up_words("w", 60)
FEW = WORDS[:6]
texts = st.one_of(st.sampled_from(FEW), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join))
phrases = st.lists(texts, min_size=2, max_size=50, unique=True).map(tuple)
synonyms = st.one_of(
    phrases.map(lambda words: SynonymAction(words=words)),
    st.tuples(st.sampled_from(FEW), phrases).map(lambda pair: SynonymAction(of=(pair[0],), to=pair[1])),
)
costly = st.integers(1, 299).map(lambda n: (HideAction("d0"),) * n)
actions = st.one_of(
    st.lists(synonyms, min_size=1, max_size=4).map(tuple),
    costly,
    st.tuples(synonyms, st.just(BoostAction(2.0, "votes>1 OR votes<9"))),
)
conditions = st.one_of(
    st.just(Conditions()),
    st.builds(QueryPattern, st.sampled_from(("contains", "starts", "all_words")), st.sampled_from(FEW)).map(
        lambda pattern: Conditions(query=pattern)
    ),
)
rules = st.lists(st.builds(Rule, actions=actions, conditions=conditions), min_size=1, max_size=20)
queries = st.lists(st.sampled_from(FEW), min_size=1, max_size=32).map(" ".join)


@cache
def shop() -> ServingState:
    """A shop whose one document has every word."""
    folder = tempfile.mkdtemp()
    return serving(engine(Path(folder), [upsert("d0", " ".join(WORDS), votes=5)]).snapshot())


def accepted(written: list[Rule]) -> ServingState:
    """Write rules one after another, as far as they are accepted."""
    state, rulebooks = shop(), Rulebooks()
    for number, rule in enumerate(written):
        edit = SetRule(f"r{number}", rule)
        after = edited(state, edit)
        before, index = state.control.index("shop"), after.control.index("shop")
        try:
            check_together(before, index, [edit], rulebooks.get(before))
        except InvalidInput:
            continue
        state = after
    return state


def n_added(query: Query) -> int:
    """Return how many words synonyms have added to the terms of a query."""
    alternatives = [alternative for term in query.terms for alternative in term.alternatives]
    return sum(len(alternative.word.split()) for alternative in alternatives if alternative.kind == "synonym")


@settings(deadline=None, max_examples=60)
@given(written=rules, query=queries)
def test_no_accepted_rules_make_a_query_cost_more_than_is_stated(written: list[Rule], query: str) -> None:
    state = accepted(written)
    searcher = Searcher(None, n_candidates=5)
    prepared = searcher.prepare(state, "shop", SearchRequest(query=query), now=NOW)
    book = searcher.rulebooks.get(state.control.index("shop"))
    costs: Mapping[str, int] = {rule.stored.id: rule.cost for rule in book.find_rules(prepared.applied.context, NOW)}
    assert sum(costs[rule] for rule in prepared.applied.fired) <= MAX_SEARCH_COST
    assert set(prepared.applied.fired).isdisjoint(prepared.applied.left_out)
    assert set(costs) == {*prepared.applied.fired, *prepared.applied.left_out}
    assert n_added(prepared.query) <= MAX_ADDED_WORDS


@settings(deadline=None, max_examples=30)
@given(written=rules, word=st.sampled_from(FEW))
def test_a_query_of_one_word_has_all_its_synonyms(written: list[Rule], word: str) -> None:
    query = Searcher(None, n_candidates=5).prepare(accepted(written), "shop", SearchRequest(query=word), now=NOW).query
    assert n_added(query) <= MAX_SYNONYM_WORDS
    assert query.left_out == ()
