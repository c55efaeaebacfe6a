"""Members that are stored and not searched."""

from __future__ import annotations

from events.settings import IndexSettings, SearchableField
from searchsvc.engines.attributes import MAX_ATTRIBUTES, MAX_VALUE_CHARS
from searchsvc.indexing.coverage import MAX_WARNINGS, members_with_words, too_many_attributes, unsearched

SETTINGS = IndexSettings((SearchableField("title"), SearchableField("text", ("notes", "extra_*"))), title="title")


def test_members_with_words_are_texts_with_letters() -> None:
    documents: list[dict[str, object]] = [
        {"id": "one", "title": "lamp", "price": 3, "sku": "123", "prose": "x" * (MAX_VALUE_CHARS + 1)},
        {"id": "two", "title": "chair", "brand": "Acme", "tags": ["a"]},
    ]
    assert members_with_words(documents) == ["title", "brand"]


def test_a_member_of_no_searchable_field_is_warned_of() -> None:
    warnings = unsearched(["title", "notes", "extra_colour", "brand"], SETTINGS)
    assert [warning.field for warning in warnings] == ["brand"]
    assert "`searchable`" in warnings[0].message
    assert len(unsearched([f"m{n}" for n in range(99)], SETTINGS)) == MAX_WARNINGS


def test_a_new_member_of_an_index_that_takes_no_more_is_warned_of() -> None:
    assert too_many_attributes(MAX_ATTRIBUTES - 1, ["new"]) == []
    assert too_many_attributes(MAX_ATTRIBUTES, []) == []
    (warning,) = too_many_attributes(MAX_ATTRIBUTES, ["new", "newer"])
    assert (warning.field, str(MAX_ATTRIBUTES) in warning.message) == ("new", True)
