"""The order of hits on the node."""

from __future__ import annotations

from searchsvc.engines.opensearch.attribute_columns import column
from searchsvc.engines.opensearch.ordering import browse_sort, sort_clauses
from searchsvc.engines.retrieval import SortKey
from searchsvc.engines.values import kinds_of


def test_an_attribute_sorts_by_what_its_texts_are_read_as() -> None:
    kinds = {
        "size": frozenset({*kinds_of(41), *kinds_of("L")}),
        "price": frozenset(kinds_of("1,5 €")),
        "made": frozenset(kinds_of("2020-01-01")),
    }
    keys = (SortKey("size", descending=True), SortKey("price"), SortKey("made"), SortKey("none"))
    *scripts, by_id = [clause.get("_script", clause) for clause in sort_clauses(keys, kinds)]
    parts = [[part["column"] for part in script["script"]["params"]["parts"]] for script in scripts]
    expected = [[("o", "size")], [("n", "price")], [("o", "made"), ("d", "made")], [("o", "none")]]
    assert parts == [[column(kind, name) for kind, name in of_key] for of_key in expected]
    assert [(script["order"], script["script"]["params"]["last"]) for script in scripts[:2]] == [
        ("desc", True),
        ("asc", False),
    ]
    assert by_id == {"id": "asc"}


def test_without_a_query_the_weighted_signals_order() -> None:
    by_signals, by_id = browse_sort([1.0, 0.5], [0.0, 30.0], 2 * 86_400.0)
    parameters = by_signals["_script"]["script"]["params"]
    assert parameters == {
        "weights": [1.0, 0.5],
        "scales": [0.0, 30.0],
        "fields": ["signals.0", "signals.1"],
        "day": 2.0,
    }
    assert by_id == {"id": "asc"}
