"""Columns for the attributes of documents."""

from __future__ import annotations

import re

import pytest

from searchsvc.engines.opensearch.attribute_columns import (
    MAX_NAME_CHARS,
    N_COLUMNS,
    CountedKinds,
    attribute_columns,
    column,
    document_kinds,
    kinds_of_attribute,
    prefix,
    values_of,
    with_prefix,
)
from searchsvc.engines.values import collation_key, number_key

NAMES = ["brand", "a.b", "", ".", "*", "größe", "a b/c", "x\0y", "\1", "n" * 5000, '[^"@&<>~{}()]']


@pytest.mark.parametrize("name", NAMES)
def test_values_of_any_name_are_found_again(name: str) -> None:
    others = [f"{prefix(other)}no" for other in NAMES if other != name]
    assert values_of(name, [*others, f"{prefix(name)}yes"]) == ["yes"]
    assert len(with_prefix(name)) <= 1000
    # Where Python and the node write it in the same way.
    if name.replace(" ", "").replace(".", "").isalnum():
        assert re.fullmatch(with_prefix(name), f"{prefix(name)}yes")
        assert not any(re.fullmatch(with_prefix(name), other) for other in others)


def test_thousands_of_names_need_few_columns() -> None:
    members: dict[str, object] = {"id": "1", **{f"attribute {i}": i for i in range(20_000)}}
    assert len(attribute_columns(members)) == len("vsognw") * N_COLUMNS


def test_the_values_of_a_member_stand_by_kind() -> None:
    columns = attribute_columns({"id": "1", "size": [41, "L", "1,5 €"], "made": "1970-01-02"})
    of_size = {kind: columns[column(kind, "size").removeprefix("a.")] for kind in "vsgon"}
    assert of_size["v"] == ["size\x0041", "size\0l", "size\0" + "1,5 €"]
    assert of_size["s"][:2] == ["size\x0041\x0041", "size\0l\0L"]
    assert of_size["g"] == ["size\x0041"]
    assert of_size["o"][:2] == [f"size\x000{number_key(41)}", f"size\x001{collation_key('L').hex()}\0l"]
    assert of_size["n"] == [f"size\0{number_key(41)}", f"size\0{number_key(1.5)}"]
    assert columns[column("d", "made").removeprefix("a.")] == [f"made\0{number_key(86_400)}"]


def test_kinds_are_those_of_the_documents_that_are_there() -> None:
    long = "n" * (MAX_NAME_CHARS + 1)
    first: dict[str, object] = {"id": "1", "price": "1,5 €", long: 3}
    second: dict[str, object] = {"id": "2", "price": "call us"}
    counted = CountedKinds()
    counted.add([first, second])
    assert kinds_of_attribute(counted.view(), "price") == {
        *("text", "amount", "no amount", "no date", "no truth"),
    }
    counted.add([second], -1)
    assert counted.view()["price"] == {"text", "amount", "no date", "no truth"}
    assert kinds_of_attribute(counted.view(), long) == {"number"}
    assert kinds_of_attribute(counted.view(), "none") == frozenset()
    assert CountedKinds(dict.fromkeys(document_kinds(first), 1)).view() == counted.view()
