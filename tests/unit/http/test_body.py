"""Strict decoding: what is wrong is named."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import pytest

from events.errors import InvalidInput, TooLarge
from searchsvc.analysis.highlight import HighlightInput
from searchsvc.http.body import Body, decode_query
from searchsvc.search.request import SearchRequest


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["click", "view"]
    value: float = 0.0


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: list[Item] = []
    names: list[str] = []
    limit: int = 10
    anything: object = None
    prices: dict[str, dict[str, float]] = {}
    shown: bool | Item = False
    since: datetime | None = None
    order: Literal["up", "down", ""] = ""


BODY = Body(Order, max_bytes=20_000)


@pytest.mark.parametrize(
    ("data", "field", "limit"),
    [
        (b"[]", "", "an object"),
        (b'{"limit":"3"}', "limit", "an integer"),
        (b'{"other":1}', "other", "items, names, limit, anything, prices, shown, since, order"),
        (b'{"items":[{"kind":"click"},{"value":1}]}', "items[1].kind", "required"),
        (b'{"items":[{"kind":"clack"}]}', "items[0].kind", "click or view"),
        (b'{"items":[{"kind":"view","value":NaN}]}', "items[0].value", "a finite number"),
        (b'{"items":', "", "JSON"),
        (b"\xff", "", "JSON"),
        (b'{"anything":' + b"[" * 10_000, "", "JSON"),
        (b'{"items":[{"kind":"view","value":1e999}]}', "items[0].value", "a finite number"),
        (b'{"prices":{"a":{"eur":1},"b.c":{"eur":2,"usd":"3"}}}', "prices.b.c.usd", "a number"),
        (b'{"prices":{"a":3}}', "prices.a", "an object"),
        (b'{"prices":{"a":{},"[...]":3,"c":4}}', "prices.[...]", "an object"),
        (b'{"shown":3}', "shown", "true or false or an object"),
        (b'{"since":3}', "since", "a time as in RFC 3339 or null"),
        (b'{"since":"yesterday"}', "since", "a time as in RFC 3339"),
        (b'{"order":"left"}', "order", '"" or down or up'),
    ],
)
def test_a_wrong_body_is_refused_naming_field_and_limit(data: bytes, field: str, limit: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        BODY.decode(data)
    assert (refused.value.field, refused.value.limit) == (field, limit)


def test_half_a_surrogate_pair_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"names\[1\] is 'a\\\\ud800'; allowed: whole characters") as refused:
        BODY.decode(rb'{"names":["x","a\ud800"]}')
    assert refused.value.field == "names[1]"


def test_of_many_members_the_first_wrong_one_is_named_without_trying_each(monkeypatch: pytest.MonkeyPatch) -> None:
    conversions: list[object] = []
    convert = msgspec.convert

    def counted(request: object, kind: type[Order]) -> object:
        conversions.append(kind)
        return convert(request, kind)

    monkeypatch.setattr(msgspec, "convert", counted)
    members = ",".join(f'"m{i}":{{}}' if i not in (700, 800) else f'"m{i}":3' for i in range(1000))
    with pytest.raises(InvalidInput) as refused:
        BODY.decode(b'{"prices":{%s}}' % members.encode())
    assert refused.value.field == "prices.m700"
    assert 1 <= len(conversions) <= 12


def test_the_body_itself_is_shown() -> None:
    for data, shown in ((b"[]", r"\[\]"), (b"[1, 2]", r"\[1, 2\]"), (b"null", "null"), (b'"x"', '"x"')):
        with pytest.raises(InvalidInput, match=f"the body is {shown}; allowed: an object"):
            BODY.decode(data)


def test_a_long_body_is_refused_and_an_empty_one_is_an_empty_object() -> None:
    with pytest.raises(TooLarge, match="20001 bytes; allowed: 20000 bytes"):
        BODY.decode(b" " * 20_001)
    assert BODY.decode(b"") == Order()


def test_a_query_string_has_lists_with_commas_several_values_or_as_json() -> None:
    query = decode_query(Order, {"limit": ["3"], "names": ["a,b", "c"]})
    assert (query.limit, query.names) == (3, ["a", "b", "c"])
    assert decode_query(Order, {"names": ['["a,b","c"]', "d", "[e"]}).names == ["a,b", "c", "d", "[e"]
    for parameters, field, limit in (
        ({"limit": ["1", "2"]}, "limit", "once"),
        ({"limit": ["x"]}, "limit", "an integer"),
        ({"size": ["1"]}, "size", "items, names, limit, anything, prices, shown, since, order"),
    ):
        with pytest.raises(InvalidInput) as refused:
            decode_query(Order, parameters)
        assert (refused.value.field, refused.value.limit) == (field, limit)


def test_a_query_string_has_objects_as_json() -> None:
    query = decode_query(SearchRequest, {"query": ["{x"], "filters": ['{"field": "a", "is": "x"}'], "scope": ["a:1"]})
    assert (query.query, query.filters, query.scope) == ("{x", {"field": "a", "is": "x"}, "a:1")
    marked = decode_query(SearchRequest, {"highlight": ['{"fields": ["title"]}']}).highlight
    assert marked == HighlightInput(fields=["title"])
    assert decode_query(SearchRequest, {"highlight": ["true"]}).highlight is True


def test_a_byte_order_mark_before_the_body_is_no_part_of_it() -> None:
    assert BODY.decode(b'\xef\xbb\xbf{"limit":3}') == Order(limit=3)
    assert BODY.decode(b"\xef\xbb\xbf") == BODY.decode(b"") == Order()
