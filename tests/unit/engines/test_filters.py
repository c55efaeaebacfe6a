"""The two forms of a filter: what they mean, and how errors name what is wrong."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import InvalidInput
from searchsvc.engines.dates import epoch_seconds
from searchsvc.engines.filters import AllOf, AnyOf, Exists, Is, Not, Range, clauses, parse_filter, without_field

DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", Is("a", ("b",))),
        ("a = b", Is("a", ("b",))),
        ('a:"b c"', Is("a", ("b c",))),
        (r'a:"say \"hi\""', Is("a", ('say "hi"',))),
        ("a:16:9", Is("a", ("16:9",))),
        ("a:(b OR c)", Is("a", ("b", "c"))),
        ("a:*", Exists("a")),
        ('a:"*"', Is("a", ("*",))),
        ("a!=b", Not(Is("a", ("b",)))),
        ("a!=*", Not(Exists("a"))),
        ("a:[* TO *]", Exists("a")),
        ("NOT NOT a:b", Is("a", ("b",))),
        ("a:[1 TO 5}", Range("a", 1, 5, True, False)),
        ("a:{* TO 5]", Range("a", -math.inf, 5, False, True)),
        ("a>-1.5", Range("a", -1.5, math.inf, False)),
        ("a<=2", Range("a", -math.inf, 2)),
        ("a:1 b:2", AllOf((Is("a", ("1",)), Is("b", ("2",))))),
        ("a:1 OR b:2 AND c:3", AnyOf((Is("a", ("1",)), AllOf((Is("b", ("2",)), Is("c", ("3",))))))),
        ("(a:1 OR b:2) AND NOT c:3", AllOf((AnyOf((Is("a", ("1",)), Is("b", ("2",)))), Not(Is("c", ("3",)))))),
        ("  ", None),
        ("", None),
    ],
)
def test_the_text_form(text: str, expected: object) -> None:
    assert parse_filter(text) == expected


def test_a_day_as_upper_bound_is_in_the_range_to_its_end() -> None:
    start, end = epoch_seconds("2020-01-01"), epoch_seconds("2020-12-31")
    assert start is not None
    assert end is not None
    assert parse_filter("d:[2020-01-01 TO 2020-12-31]") == Range("d", start, end + DAY, True, False, True)
    assert parse_filter("d>2020-01-01") == Range("d", start + DAY, math.inf, True, True, True)
    assert parse_filter("d<2020-01-01") == Range("d", -math.inf, start, True, False, True)
    assert epoch_seconds("2020-01-01T01:00:00+01:00") == epoch_seconds("2020-01-01")
    assert epoch_seconds("2020-13-01") is None


@pytest.mark.parametrize(
    ("source", "same_as"),
    [
        ({"field": "a", "is": "b"}, "a:b"),
        ({"field": "a", "is": ["b", 2, True]}, "a:(b OR 2 OR true)"),
        ({"field": "a", "from": 1, "below": 5}, "a:[1 TO 5}"),
        ({"field": "d", "above": "2020-01-01"}, "d>2020-01-01"),
        ({"field": "a", "exists": True}, "a:*"),
        ({"field": "a", "exists": False}, "NOT a:*"),
        ({"all": [{"field": "a", "is": "1"}, {"not": {"any": [{"field": "b", "is": "2"}]}}]}, None),
    ],
)
def test_the_json_form_means_the_same(source: dict[str, object], same_as: str | None) -> None:
    parsed = parse_filter(source)
    assert parsed == (parse_filter(same_as) if same_as else AllOf((Is("a", ("1",)), Not(AnyOf((Is("b", ("2",)),))))))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a:", "expected a value, found the end"),
        ("a:>5", "without the colon"),
        ("a", "expected a comparison after a"),
        ("a:[1 TO 2", "expected a closing ] or }"),
        ("a:[1 2]", "expected TO between the bounds"),
        ("a>red", "expected a number or a date instead of 'red'"),
        ("a>1e400", "expected a number or a date instead of '1e400'"),
        (f"a<-{'9' * 400}", "expected a number or a date instead of '-999"),
        (f"a:[1 TO {'9' * 400} €]", "expected TO between|expected a closing"),
        (f'a>="{"9" * 400} €"', "expected a number or a date instead of '999"),
        ("(a:1", r"expected a closing \)"),
        ("a:1)", "at character 4"),
        ('a:"b', 'expected a closing "'),
        ("(" * 30 + "a:1" + ")" * 30, "at most 20 levels"),
        ("a:1 " * 300, "at most 200 clauses"),
        ("a" * 5000, "at most 4096 characters"),
        ({"field": "a"}, "field with is, exists"),
        ({"field": "a", "is": []}, "filters.is"),
        ({"field": "a", "from": 1, "above": 2}, "one bound on each side"),
        ({"field": "a", "from": "soon"}, "filters.from is 'soon'"),
        ({"field": "a", "below": 10**400}, "filters.below is '1000"),
        ({"all": []}, "filters.all"),
        ({"any": [{"field": 1, "is": 2}]}, r"filters.any\[0\].field"),
        ({"field": "a", "is": 1, "to": 2}, "field with is, exists"),
    ],
)
def test_an_error_names_what_is_wrong(source: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        parse_filter(source)
    assert refused.value.field.startswith("filters")


@given(st.text(alphabet='ab:"()[]{}<>=! ANDORTO*1-', max_size=40))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    with suppress(InvalidInput):
        parsed = parse_filter(text)
        assert parsed is None or list(clauses(parsed))


def test_a_filter_without_a_field_keeps_the_others() -> None:
    whole = parse_filter("a:1 AND b:2 AND (a:3 OR b:4)")
    assert without_field(whole, "a") == parse_filter("b:2 AND (a:3 OR b:4)")
    assert without_field(parse_filter("a:1 OR a:2"), "a") is None
    assert without_field(None, "a") is None
