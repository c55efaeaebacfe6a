"""The attributes of a document, and the errors for those that no document has."""

from __future__ import annotations

from searchsvc.engines.attributes import (
    MAX_FAMILIES,
    MAX_VALUE_CHARS,
    attributes_of,
    families,
    no_range_values,
    unknown_attribute,
)


def test_members_with_short_values_are_attributes() -> None:
    document = {
        "id": "1",
        "brand": "HP",
        "sizes": [40, 41.5, "L", None, {"x": 1}],
        "soft": True,
        "prose": "x" * (MAX_VALUE_CHARS + 1),
        "empty": "",
        "marked": "\0hidden",
        "huge": 10**400,
        "size": {"id": "inner", "width": 3},
    }
    assert dict(attributes_of(document)) == {
        "brand": ["HP"],
        "sizes": [40, 41.5, "L"],
        "sizes.x": [1],
        "soft": ["true"],
        "size.id": ["inner"],
        "size.width": [3],
    }


def test_members_of_objects_in_a_list_are_one_attribute_with_all_their_values() -> None:
    variants = [{"color": "red", "price": 3}, {"color": ["blue", "red"]}, "plain"]
    attributes = list(attributes_of({"id": "1", "variants": variants}))
    assert attributes == [
        ("variants.color", ["red", "blue", "red"]),
        ("variants.price", [3.0]),
        ("variants", ["plain"]),
    ]


def test_members_that_are_nested_too_deep_are_no_attributes() -> None:
    deep: dict[str, object] = {"x": 1}
    for name in ("c", "b", "a"):
        deep = {name: deep}
    assert dict(attributes_of(deep)) == {"a.b.c.x": [1.0]}
    assert dict(attributes_of({"z": deep})) == {}


def test_families_are_the_usual_attributes_or_those_named() -> None:
    document = {"id": "1", "brand": "HP", "maker": "x", "category": ["Ink", "Toner"], "colour": "red"}
    assert families(document, []) == ["brand=HP", "category=Ink", "category=Toner"]
    assert families(document, ["colour"]) == ["colour=red"]
    assert len(families({"id": "1", "genre": [str(n) for n in range(20)]}, [])) == MAX_FAMILIES


def test_an_unknown_attribute_is_refused_with_similar_names() -> None:
    error = unknown_attribute("brnd", ["colour", "brand", "brnda"], "filters", {"colour", "brand"}.__contains__)
    assert (error.field, error.value) == ("filters", "brnd")
    assert str(error.limit).endswith("such as brand")
    assert "colour, size" in str(unknown_attribute("zzz", ["size", "colour"], "sort", lambda _: True).limit)


def test_a_range_of_texts_is_refused() -> None:
    assert "brand has no numbers" in str(no_range_values("brand", "filters", dates=False))
    assert "brand has no dates" in str(no_range_values("brand", "filters", dates=True))
