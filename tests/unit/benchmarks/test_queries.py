"""Queries made from the titles of a catalogue."""

from __future__ import annotations

import pytest

from benchmarks.queries import WARM_UP, sample_queries, warm_up_size
from events.errors import InvalidInput


def test_queries_are_distinct_titles_and_their_first_words() -> None:
    documents = [{"title": f"brand{n} shoe for running"} for n in range(40)] + [{"title": ""}, {}]
    queries = sample_queries(documents, "title", 10)
    assert queries == sample_queries(documents, "title", 10)
    assert len(queries) == len(set(queries)) == 10
    assert [len(query.split()) for query in queries] == [4, 2] * 5


def test_a_catalogue_without_titles_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no document has a name"):
        sample_queries([{"title": "red shoe"}], "name", 10)


@pytest.mark.parametrize(("n_queries", "expected"), [(1, 0), (2, 1), (WARM_UP, WARM_UP // 2), (1000, WARM_UP)])
def test_warming_up_leaves_queries_to_measure(n_queries: int, expected: int) -> None:
    assert warm_up_size(n_queries) == expected < n_queries
