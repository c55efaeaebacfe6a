"""Filters: conditions on the attributes of documents. A small grammar for people, the same in JSON for programs. Pure.

    supplier:HP AND price:[100 TO 500] AND NOT attr_t_type:Original
    colour:(red OR "dark red")   price>=100   released:[2020-01-01 TO 2021-01-01}   in_stock:true   price:*
    id:(a7 OR b9)

AND binds closer than OR; two filters side by side mean AND. `[` and `]` include their bound, `{` and `}` exclude it,
`*` is no bound. Values are compared without regard to case. In JSON, one member a clause:

    {"all": [{"field": "supplier", "is": "HP"}, {"field": "price", "from": 100, "to": 500},
             {"not": {"field": "attr_t_type", "is": ["Original", "OEM"]}}]}    also "any", "above", "below", "exists"

`parse_filter` reads both forms into a tree of `Filter`, which the engines evaluate.
"""

from __future__ import annotations

from searchsvc.engines.filters.parsing import parse_filter
from searchsvc.engines.filters.tree import (
    AllOf,
    AnyOf,
    Comparison,
    Exists,
    Filter,
    Is,
    Not,
    Range,
    both,
    clauses,
    excludes,
    without_field,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "Comparison",
    "Exists",
    "Filter",
    "Is",
    "Not",
    "Range",
    "both",
    "clauses",
    "excludes",
    "parse_filter",
    "without_field",
]
