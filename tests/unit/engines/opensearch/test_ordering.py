"""The order of hits on the node."""

from __future__ import annotations

from searchsvc.engines.opensearch.ordering import browse_sort, sort_clauses
from searchsvc.engines.retrieval import SortKey


def test_an_attribute_sorts_by_numbers_then_dates_then_texts() -> None:
    kinds = {"size": frozenset("nvs"), "made": frozenset("dvs"), "brand": frozenset("sv")}
    keys = (SortKey("size", descending=True), SortKey("made"), SortKey("brand"), SortKey("none"))
    clauses = sort_clauses(keys, kinds)
    assert [next(iter(clause)) for clause in clauses] == ["a.msize.n", "a.mmade.d", "a.mbrand.s", "a.mnone.s", "id"]
    assert clauses[0]["a.msize.n"] == {"order": "desc", "mode": "max", "missing": "_last", "unmapped_type": "double"}
    assert clauses[2]["a.mbrand.s"] == {"order": "asc", "mode": "min", "missing": "_last", "unmapped_type": "keyword"}


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
