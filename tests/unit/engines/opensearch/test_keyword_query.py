"""The clauses of a query."""

from __future__ import annotations

import pytest

from searchsvc.analysis.query import Query
from searchsvc.analysis.understanding import understand
from searchsvc.engines.opensearch.clauses import NOTHING
from searchsvc.engines.opensearch.keyword_query import (
    ALL_TERMS_LIFT,
    QueryClauses,
    keyword_query,
    match_clause,
    query_clauses,
)
from searchsvc.engines.opensearch.vocabulary import Vocabulary, VocabularyView


def vocabulary() -> VocabularyView:
    counted = Vocabulary(2)
    counted.add([[{"red", "shoe"}, {"road"}], [{"blue", "shoe"}, set()], [{"red", "jacket"}, set()]])
    return counted.view()


def clauses_of(text: str) -> tuple[Query, QueryClauses]:
    words = vocabulary()
    query = understand(text, words.lexicon)
    return query, query_clauses(query, words.statistics(query), [3.0, 1.0], words.rarity)


def test_documents_must_contain_the_required_terms_that_the_index_has() -> None:
    _, clauses = clauses_of("the red zzzzzz shoe")
    red, shoe = {"match": {"all": "red"}}, {"match": {"all": "shoe"}}
    assert clauses.all_terms == {"bool": {"filter": [red, shoe]}}
    assert clauses.any_term == {"bool": {"should": [red, shoe], "minimum_should_match": 1}}
    assert match_clause(clauses, "all") == clauses.all_terms
    assert match_clause(clauses, "any") == clauses.any_term


def test_a_query_of_unknown_words_matches_nothing() -> None:
    _, clauses = clauses_of("zzzzzz")
    assert (clauses.all_terms, clauses.any_term) == (None, None)
    assert keyword_query(clauses, "auto", []) == {"bool": {"must": [NOTHING]}}
    assert match_clause(clauses, "any") == NOTHING


def test_fields_are_boosted_and_named_once_for_each_part_of_the_query() -> None:
    _, clauses = clauses_of("red road")
    assert [field["bool"]["boost"] for field in clauses.score["bool"]["should"]] == [3.0, 1.0]
    names = [clause["bool"]["_name"] for clause in clauses.named["bool"]["should"] if "bool" in clause]
    assert names == ["bm25.0", "bm25.1", "terms.0", "words.0", "pair.0"]
    assert clauses.named["bool"]["should"][-1]["term"]["title"]["_name"] == "title"


@pytest.mark.parametrize("operator", ["auto", "all", "any"])
def test_auto_lifts_documents_with_all_terms(operator: str) -> None:
    _, clauses = clauses_of("red shoe")
    query = keyword_query(clauses, operator, [{"term": {"live": True}}])["bool"]  # type: ignore[arg-type]
    required = clauses.all_terms if operator == "all" else clauses.any_term
    assert query["filter"] == [{"term": {"live": True}}, required, clauses.named]
    lift = {"constant_score": {"filter": clauses.all_terms, "boost": ALL_TERMS_LIFT}}
    assert query["should"] == ([clauses.score, lift] if operator == "auto" else [clauses.score])


def test_a_correction_is_scored_as_rare_as_the_term() -> None:
    words = vocabulary()
    _, clauses = clauses_of("jakcet")
    (field,) = clauses.score["bool"]["should"]
    match = field["bool"]["should"][0]["match"]["text.0"]
    assert match["query"] == "jacket"
    query = understand("jakcet", words.lexicon)
    idf = float(words.statistics(query).idf[0, 0])
    assert match["boost"] == pytest.approx(query.terms[0].alternatives[0].weight * idf / words.rarity("jacket", 0))
