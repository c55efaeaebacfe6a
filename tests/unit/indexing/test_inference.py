"""The settings that are inferred from sample documents."""

from __future__ import annotations

import msgspec
import pytest

from events.errors import InvalidInput
from events.settings import MAX_SEARCHABLE_FIELDS, SearchableField, check_settings
from searchsvc.cli.sample import sample_catalogue
from searchsvc.indexing.inference import infer_settings, left_out


def test_settings_of_the_sample_catalogue_are_the_ones_a_person_would_write() -> None:
    documents = [msgspec.json.decode(line) for line in sample_catalogue(200)]
    settings = infer_settings(documents)
    assert settings.title == "title"
    assert [f.name for f in settings.searchable] == [
        "title",
        "brand",
        "category",
        "model",
        "description",
        "features",
        "colour",
    ]
    assert settings.embedding is not None
    assert settings.embedding.fields[0] == "title"
    assert "model" not in settings.embedding.fields
    assert settings.embedding.fields[-1] == "description"
    assert {signal.field: signal.transform for signal in settings.signals} == {"rating": "identity", "reviews": "log1p"}
    check_settings(settings)


def test_many_sparse_attributes_become_one_field_and_rare_numbers_no_signal() -> None:
    documents = [
        {"id": str(i), "title": f"Thing {i}", "image": f"http://x/{i}.png", "released": "2020-01-02T00:00:00Z"}
        | {f"attr_t_{i % 12}": "blue steel"}
        | ({"energy_rating": 3.0} if i == 0 else {})
        for i in range(48)
    ]
    settings = infer_settings(documents)
    assert settings.searchable == (SearchableField("title"), SearchableField("attr_t", ("attr_t_*",)))
    assert settings.signals == ()


def test_what_is_not_searched_is_named() -> None:
    documents = [
        {"id": str(n), "title": "lamp", "url": "https://x.example/1", "variants": [{"n": 1, "colour": "red"}]}
        | {f"text{letter}": f"word {letter}" for letter in "abcdefghijklmnopq"}
        for n in range(9)
    ]
    settings = infer_settings(documents)
    assert len(settings.searchable) == MAX_SEARCHABLE_FIELDS
    warnings = {warning.field: warning.message for warning in left_out(documents, settings)}
    assert warnings == {
        "textp": "textp is not searched: more documents have other members, and at most 16 are",
        "textq": "textq is not searched: more documents have other members, and at most 16 are",
        "variants": "variants holds objects and is not searched; a field of `searchable` may name it, or a member of "
        "it as variants.colour",
    }
    assert left_out(documents[:1], settings) == left_out(documents, settings)


def test_documents_without_text_give_no_settings() -> None:
    with pytest.raises(InvalidInput, match="no member"):
        infer_settings([{"id": "1", "price": 3}])


def test_years_in_most_documents_are_searched() -> None:
    documents = [{"id": str(i), "title": f"Film {i}", "year": 1990 + i, "price": 9.5} for i in range(10)]
    assert [field.name for field in infer_settings(documents).searchable] == ["title", "year"]


def test_without_a_usual_name_the_title_is_the_short_text_that_differs_most() -> None:
    documents = [{"id": str(i), "kind": "book", "heading": f"Book {i}", "text": f"{i} " * 100} for i in range(10)]
    assert infer_settings(documents).title == "heading"


def test_members_are_inferred_whatever_they_are_called_and_prices_are_not_searched() -> None:
    documents: list[dict[str, object]] = [
        {
            "id": str(i),
            "Product Name": f"lamp {i}",
            "名前": "ランプ",
            "price": "1,299.00 €",
            "day": "31.12.2026",
            "in stock": "yes",
            "sku": f"1000{i}",
        }
        for i in range(20)
    ]
    settings = infer_settings(documents)
    assert [field.name for field in settings.searchable] == ["Product Name", "名前", "sku"]
    assert settings.title == "Product Name"
