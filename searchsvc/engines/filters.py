"""Filters: which documents a search is about. A small grammar for people, the same in JSON for programs. Pure.

    supplier:HP AND price:[100 TO 500] AND NOT attr_t_type:Original
    colour:(red OR "dark red")   price>=100   released:[2020-01-01 TO 2021-01-01}   in_stock:true   price:*
    id:(a7 OR b9)

AND binds closer than OR; two filters side by side mean AND. `[` and `]` include their bound, `{` and `}` do not, `*` is
no bound. Values are compared without regard to case. In JSON, one member a clause:

    {"all": [{"field": "supplier", "is": "HP"}, {"field": "price", "from": 100, "to": 500},
             {"not": {"field": "attr_t_type", "is": ["Original", "OEM"]}}]}    also "any", "above", "below", "exists"
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec

from events.errors import InvalidInput

MAX_CHARS: Final = 4096
MAX_CLAUSES: Final = 200
MAX_DEPTH: Final = 20
DAY_S: Final = 86_400.0

DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?)?$")
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<word>(?:"(?:[^"\\]|\\.)*"|[^\s()\[\]{}":<>=!]+))"""
    r"""|(?P<operator>>=|<=|!=|>|<|=|:)|(?P<bracket>[\[\]{}])|(?P<bad>\S))"""
)
_BARE_VALUE: Final = re.compile(r'\s*([^\s()\[\]{}"]+)')


class Is(msgspec.Struct, frozen=True):
    """A document has any of the values in a member; in `id`, just so. values: as text; numbers and true, false too."""

    field: str
    values: tuple[str, ...]


class Within(msgspec.Struct, frozen=True):
    """A number, or a date as seconds since 1970, of a member lies in a range. dates: whether the bounds are dates."""

    field: str
    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    high_included: bool = True
    dates: bool = False


class Has(msgspec.Struct, frozen=True):
    """A document has a value in a member."""

    field: str


class Not(msgspec.Struct, frozen=True):
    of: Filter


class AllOf(msgspec.Struct, frozen=True):
    of: tuple[Filter, ...]


class AnyOf(msgspec.Struct, frozen=True):
    of: tuple[Filter, ...]


Filter = Is | Within | Has | Not | AllOf | AnyOf


def parse_filter(given: str | Mapping[str, object] | None, field: str = "filters") -> Filter | None:
    """A filter from either form; None where there is none. field: what errors call it. Raises InvalidInput."""
    if given is None or given == "" or given == {}:
        return None
    if isinstance(given, str):
        if len(given) > MAX_CHARS:
            _refuse(field, given, f"at most {MAX_CHARS} characters")
        parsed = _Parser(given, field).whole() if given.strip() else None
    else:
        parsed = _from_json(given, field, 0)
    if parsed is not None and sum(1 for _ in clauses(parsed)) > MAX_CLAUSES:
        _refuse(field, sum(1 for _ in clauses(parsed)), f"at most {MAX_CLAUSES} clauses")
    return parsed


def clauses(given: Filter) -> Iterator[Is | Within | Has]:
    """Every comparison in a filter."""
    match given:
        case Is() | Within() | Has():
            yield given
        case Not(of=of):
            yield from clauses(of)
        case AllOf(of=parts) | AnyOf(of=parts):
            for part in parts:
                yield from clauses(part)


def without(given: Filter | None, field: str) -> Filter | None:
    """A filter without those of its joined parts that are about one field only: for counting what else there is."""
    if given is None:
        return None
    parts = given.of if isinstance(given, AllOf) else (given,)
    kept = tuple(part for part in parts if any(clause.field != field for clause in clauses(part)))
    return AllOf(kept) if len(kept) > 1 else kept[0] if kept else None


def seconds(text: str) -> float | None:
    """A date or time as seconds since 1970 in UTC; None where the text is none."""
    if not DATE.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text.replace("z", "Z"))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _refuse(field: str, value: object, limit: str) -> NoReturn:
    raise InvalidInput(f"{field} is {str(value)[:90]!r}; allowed: {limit}", field=field, value=value, limit=limit)


class _Parser:
    """Recursive descent over the text form. field: what errors call it."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._at = 0

    def whole(self) -> Filter:
        parsed = self._any(0)
        if self._rest():
            self._fail("the end, AND, OR or NOT")
        return parsed

    def _any(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            self._fail(f"at most {MAX_DEPTH} levels of brackets")
        parts = [self._all(depth)]
        while self._take_keyword("OR"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Filter:
        parts = [self._one(depth)]
        while True:
            joined = self._take_keyword("AND")
            if not joined and (not self._rest() or self._peek("close") or self._peek_keyword("OR")):
                break
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self, depth: int) -> Filter:
        negations = 0
        while self._take_keyword("NOT"):
            negations += 1
        if self._take("open"):
            inner = self._any(depth + 1)
            if not self._take("close"):
                self._fail("a closing )")
        else:
            inner = self._comparison()
        return Not(inner) if negations % 2 else inner

    def _comparison(self) -> Filter:
        name = self._take("word")
        if name is None:
            self._fail("a field, NOT or (")
        field = _unquoted(name)
        operator = self._take("operator")
        if operator is None:
            self._fail(f"a comparison after {field}: one of : = != > >= < <=")
        if operator in (">", ">=", "<", "<="):
            bound, included = self._bound(self._value()), len(operator) == 2
            return (
                _within(field, bound, None, included, True)
                if operator[0] == ">"
                else _within(field, None, bound, True, included)
            )
        if operator == ":" and (bracket := self._take("bracket")):
            return self._range(field, bracket)
        if operator == ":" and self._take("open"):
            values = [self._value()]
            while self._take_keyword("OR"):
                values.append(self._value())
            if not self._take("close"):
                self._fail("OR or a closing )")
            return Is(field, tuple(values))
        if operator == ":" and self._rest()[:1] in ("<", ">", "="):
            self._fail("a value; a comparison is written without the colon, as in price>=100")
        start = self._at
        value = self._value()
        if value == "*" and '"' not in self._text[start : self._at]:
            return Not(Has(field)) if operator == "!=" else Has(field)
        return Not(Is(field, (value,))) if operator == "!=" else Is(field, (value,))

    def _range(self, field: str, bracket: str) -> Within | Has:
        if bracket not in "[{":
            self._fail("[ or { and a range")
        low = self._value()
        if not self._take_keyword("TO"):
            self._fail("TO between the bounds")
        high = self._value()
        closing = self._take("bracket")
        if closing is None or closing not in "]}":
            self._fail("a closing ] or }")
        if low == high == "*":
            return Has(field)
        bottom = self._bound(low) if low != "*" else None
        top = self._bound(high) if high != "*" else None
        return _within(field, bottom, top, bracket == "[", closing == "]")

    def _bound(self, text: str) -> _Bound:
        bound = _bound(text)
        if bound is None:
            self._fail(f"a number or a date instead of {text[:40]!r}")
        return bound

    def _value(self) -> str:
        """A quoted text, or anything up to a space or bracket: 16:9 and -40 are values."""
        if self._rest().startswith('"'):
            word = self._take("word")
            if word is None:
                self._fail('a closing "')
            return _unquoted(word)
        match = _BARE_VALUE.match(self._text, self._at)
        if match is None:
            self._fail("a value")
        self._at = match.end()
        return match[1]

    def _rest(self) -> str:
        return self._text[self._at :].lstrip()

    def _peek(self, kind: str) -> str | None:
        match = _TOKEN.match(self._text, self._at)
        return match[kind] if match else None

    def _take(self, kind: str) -> str | None:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match[kind] is None:
            return None
        self._at = match.end()
        taken: str = match[kind]
        return taken

    def _peek_keyword(self, keyword: str) -> bool:
        return self._peek("word") == keyword

    def _take_keyword(self, keyword: str) -> bool:
        return self._peek_keyword(keyword) and self._take("word") is not None

    def _fail(self, expected: str) -> NoReturn:
        rest = self._rest()
        at = len(self._text) - len(rest)
        seen = f"{rest[:20]!r} at character {at + 1}" if rest else "the end"
        raise InvalidInput(
            f"{self._field} does not read as a filter: expected {expected}, found {seen}",
            field=self._field,
            value=self._text,
            limit=expected,
        )


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


class _Bound(msgspec.Struct, frozen=True):
    """A number; or a date in seconds, and how long it lasts (a day without a time)."""

    value: float
    date: bool = False
    lasts_s: float = 0.0


def _bound(text: str) -> _Bound | None:
    at = seconds(text)
    if at is not None:
        return _Bound(at, True, DAY_S if len(text) == len("2020-01-01") else 0.0)
    try:
        number = float(text)
    except ValueError:
        return None
    return _Bound(number) if math.isfinite(number) else None


def _within(field: str, low: _Bound | None, high: _Bound | None, low_included: bool, high_included: bool) -> Within:
    """A day as the upper bound is in the range to its end, as people mean it; one to be passed ends with it."""
    bottom, top = -math.inf if low is None else low.value, math.inf if high is None else high.value
    if low is not None and low.lasts_s and not low_included:
        bottom, low_included = low.value + low.lasts_s, True
    if high is not None and high.lasts_s and high_included:
        top, high_included = high.value + high.lasts_s, False
    dates = any(bound is not None and bound.date for bound in (low, high))
    return Within(field, bottom, top, low_included, high_included, dates)


_RANGE_MEMBERS: Final = {"from", "to", "above", "below"}


def _from_json(given: object, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        _refuse(path, "nested deeper", f"at most {MAX_DEPTH} levels")
    if not isinstance(given, Mapping):
        _refuse(path, given, "an object with all, any, not or field")
    members = dict(given)
    if len(members) == 1:
        (name, value), *_ = members.items()
        if name in ("all", "any"):
            if not isinstance(value, list) or not value:
                _refuse(f"{path}.{name}", value, "a list of filters that is not empty")
            parts = tuple(_from_json(part, f"{path}.{name}[{i}]", depth + 1) for i, part in enumerate(value))
            return AllOf(parts) if name == "all" else AnyOf(parts)
        if name == "not":
            return Not(_from_json(value, f"{path}.not", depth + 1))
    field = members.pop("field", None)
    if not isinstance(field, str) or not field:
        _refuse(f"{path}.field", field, "the name of a member")
    if set(members) == {"is"}:
        return Is(field, _values(members["is"], f"{path}.is"))
    if members == {"exists": True}:
        return Has(field)
    if members == {"exists": False}:
        return Not(Has(field))
    if members and set(members) <= _RANGE_MEMBERS:
        return _json_range(field, members, path)
    _refuse(path, ", ".join(members) or "nothing", "field with is, exists, or from, to, above, below")


def _values(given: object, path: str) -> tuple[str, ...]:
    values = given if isinstance(given, list) else [given]
    if not values:
        _refuse(path, given, "a value, or a list of values that is not empty")
    return tuple(_value_text(value, path) for value in values)


def _value_text(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value
    _refuse(path, value, "a text, a number, true or false")


def _json_range(field: str, members: Mapping[str, object], path: str) -> Within:
    if {"from", "above"} <= set(members) or {"to", "below"} <= set(members):
        _refuse(path, ", ".join(members), "one bound on each side")
    bounds: dict[str, _Bound] = {}
    for name, value in members.items():
        bound = _bound(_value_text(value, f"{path}.{name}")) if not isinstance(value, bool) else None
        if bound is None:
            _refuse(f"{path}.{name}", value, "a number or a date")
        bounds[name] = bound
    low, high = bounds.get("from", bounds.get("above")), bounds.get("to", bounds.get("below"))
    return _within(field, low, high, "above" not in bounds, "below" not in bounds)
