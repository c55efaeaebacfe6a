"""The texts of a document."""

from __future__ import annotations

from typing import Any

from events.settings import Embedding, SearchableField
from searchsvc.analysis.document_text import MAX_NESTING, embedding_text, field_text


def test_field_text_joins_members_and_prefixes() -> None:
    document = {"id": "1", "tags": ["a", "b"], "attr_x": "c", "attr_y": 5, "flag": True, "deep": {"k": "d"}}
    assert field_text(document, SearchableField("all", ("tags", "attr_*", "flag", "deep", "none"))) == "a b c 5 d"
    assert embedding_text(document, Embedding(("tags", "none", "attr_x"), 3)) == "a, . c"


def test_a_field_may_be_made_from_members_of_objects() -> None:
    document = {
        "variants": [{"sku": "a-1", "size": {"eu": 41}}, {"sku": "a-2"}, "other"],
        "maker": {"name": "Acme"},
        "maker.city": "Bern",
    }
    names = ("variants.sku", "variants.size.eu", "maker.name", "maker.city", "maker.none", "none.name")
    assert field_text(document, SearchableField("all", names)) == "a-1 a-2 41 Acme Bern"


def test_what_is_nested_too_deep_and_numbers_without_end_have_no_text() -> None:
    nested: Any = "deep"
    for _ in range(MAX_NESTING + 1):
        nested = [nested]
    document = {"id": "1", "nested": nested, "just": nested[0], "huge": 10**400}
    assert field_text(document, SearchableField("all", ("nested", "just", "huge"))) == "deep"
