"""Changing members of a document."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.indexing.merging import merged


@pytest.mark.parametrize(
    ("document", "changes", "expected"),
    [
        ('{"id":"1","price":5}', {"price": 4}, {"id": "1", "price": 4}),
        ('{"id":"1","price":5}', {"price": None}, {"id": "1"}),
        ('{"id":"1"}', {"tags": ["a", None]}, {"id": "1", "tags": ["a", None]}),
        ('{"a":{"b":1,"c":{"d":2}}}', {"a": {"c": {"d": None, "e": 3}}}, {"a": {"b": 1, "c": {"e": 3}}}),
        ('{"a":[1]}', {"a": {"b": 1}}, {"a": {"b": 1}}),
        ('{"a":"x"}', {"a": {"b": None}}, {"a": {}}),
        ('{"a":1}', {"b": None}, {"a": 1}),
    ],
)
def test_changes_are_merged_as_rfc_7396_says(
    document: str, changes: dict[str, object], expected: dict[str, object]
) -> None:
    assert msgspec.json.decode(merged(document.encode(), changes)) == expected


def test_other_members_stay_as_they_were_written() -> None:
    document = b'{"id":"1","n":9007199254740993,"f":1.50,"e":1e400,"t":"\\u00e9"}'
    assert merged(document, {"stock": 3}) == document[:-1] + b',"stock":3}'


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(objects, objects)
def test_a_change_made_twice_is_made_once(document: dict[str, object], changes: dict[str, object]) -> None:
    once = merged(msgspec.json.encode(document), changes)
    assert msgspec.json.decode(merged(once, changes)) == msgspec.json.decode(once)
