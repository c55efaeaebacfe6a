"""The JSON form of a filter: one object a clause. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from searchsvc.engines.filters.bounds import Bound, parse_bound, range_between
from searchsvc.engines.filters.errors import MAX_DEPTH, invalid
from searchsvc.engines.filters.tree import AllOf, AnyOf, Exists, Filter, Is, Not, Range

_RANGE_MEMBERS: Final = {"from", "to", "above", "below"}


def parse_json(source: object, path: str, depth: int = 0) -> Filter:
    """Parse decoded JSON.

    path: where `source` stands in the request, for error messages
    depth: how many filters it is nested in

    Raises InvalidInput.
    """
    if depth > MAX_DEPTH:
        raise invalid(path, "nested deeper", f"at most {MAX_DEPTH} levels")
    if not isinstance(source, Mapping):
        raise invalid(path, source, "an object with all, any, not or field")
    members = dict(source)
    if len(members) == 1:
        (name, value), *_ = members.items()
        if name in ("all", "any"):
            if not isinstance(value, list) or not value:
                raise invalid(f"{path}.{name}", value, "a list of filters that is not empty")
            parts = tuple(parse_json(part, f"{path}.{name}[{i}]", depth + 1) for i, part in enumerate(value))
            return AllOf(parts) if name == "all" else AnyOf(parts)
        if name == "not":
            return Not(parse_json(value, f"{path}.not", depth + 1))
    return _comparison(members, path)


def _comparison(members: dict[str, object], path: str) -> Filter:
    if "field" not in members:
        raise invalid(
            path, f"an object with {', '.join(members) or 'nothing'}", "an object with all, any, not or field"
        )
    field = members.pop("field")
    if not isinstance(field, str) or not field:
        raise invalid(f"{path}.field", field, "the name of a member")
    if set(members) == {"is"}:
        return Is(field, _values(members["is"], f"{path}.is"))
    if members == {"exists": True}:
        return Exists(field)
    if members == {"exists": False}:
        return Not(Exists(field))
    if members and set(members) <= _RANGE_MEMBERS:
        return _range(field, members, path)
    allowed = "field with is, exists, or from, to, above, below"
    raise invalid(path, ", ".join(members) or "nothing", allowed)


def _values(source: object, path: str) -> tuple[str, ...]:
    values = source if isinstance(source, list) else [source]
    if not values:
        raise invalid(path, source, "a value, or a list of values that is not empty")
    return tuple(_value_text(value, path) for value in values)


def _value_text(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value
    raise invalid(path, value, "a text, a number, true or false")


def _range(field: str, members: Mapping[str, object], path: str) -> Range:
    if {"from", "above"} <= set(members) or {"to", "below"} <= set(members):
        raise invalid(path, ", ".join(members), "one bound on each side")
    bounds: dict[str, Bound] = {}
    for name, value in members.items():
        bound = parse_bound(_value_text(value, f"{path}.{name}")) if not isinstance(value, bool) else None
        if bound is None:
            raise invalid(f"{path}.{name}", value, "a number or a date")
        bounds[name] = bound
    low, high = bounds.get("from", bounds.get("above")), bounds.get("to", bounds.get("below"))
    return range_between(field, low, high, "above" not in bounds, "below" not in bounds)
