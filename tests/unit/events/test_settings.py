"""Which index settings and index names are refused."""

from __future__ import annotations

import msgspec
import pytest

from events.errors import InvalidInput
from events.settings import (
    Embedding,
    IndexSettings,
    SearchableField,
    Signal,
    Typos,
    check_index_name,
    check_settings,
)


def test_fields_may_be_named_in_any_script() -> None:
    names = ("Product Name", "名前", "größe", "a", "x" * 128)
    check_settings(IndexSettings(tuple(map(SearchableField, names)), "名前"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"searchable": ()}, "searchable"),
        ({"searchable": (SearchableField("a\nb"),)}, "searchable[0].name"),
        ({"searchable": (SearchableField("a "),)}, "searchable[0].name"),
        ({"searchable": (SearchableField("a*"),)}, "searchable[0].name"),
        ({"searchable": (SearchableField("t"), SearchableField("t"))}, "searchable[1].name"),
        ({"title": "x"}, "title"),
        ({"embedding": Embedding(())}, "embedding.fields"),
        ({"embedding": Embedding(("t",), 0)}, "embedding.max_chars"),
        ({"signals": (Signal("v", "log1p", float("inf")),)}, "signals[0].scale"),
        ({"signals": (Signal("v"), Signal("v"))}, "signals[1].field"),
    ],
)
def test_invalid_settings_are_refused_by_field(change: dict[str, object], field: str) -> None:
    good = IndexSettings((SearchableField("t"),), "t")
    check_settings(good)
    with pytest.raises(InvalidInput) as refused:
        check_settings(msgspec.structs.replace(good, **change))
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", "a\n", "A", "-a", "a" * 65, "a.b", "a/b", "a b", "ä"])
def test_index_names_that_are_not_a_subject_token_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_index_name(name)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"languages": ("xx",)}, "languages[0]"),
        ({"languages": ("de", "de")}, "languages[1]"),
        ({"typos": Typos(0)}, "typos.one_from"),
        ({"typos": Typos(9, 8)}, "typos.one_from"),
        ({"typos": Typos(3, 999)}, "typos.two_from"),
        ({"stop_words": ("x",) * 2000}, "stop_words"),
        ({"stop_words": ("",)}, "stop_words[0]"),
        ({"stop_words": ("the", " \t")}, "stop_words[1]"),
        ({"typos": Typos(exact=("nuxe", " "))}, "typos.exact[1]"),
        ({"embedding": Embedding(("t", ""))}, "embedding.fields[1]"),
        ({"searchable": (SearchableField("t", ("a", "  ")),)}, "searchable[0].sources[1]"),
    ],
)
def test_invalid_words_are_refused_by_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_settings(msgspec.structs.replace(IndexSettings((SearchableField("t"),), "t"), **change))
    assert refused.value.field == field


def test_an_index_is_not_built_anew_for_what_only_searches_read() -> None:
    plain = IndexSettings((SearchableField("t"),), "t")
    tuned = msgspec.structs.replace(plain, retrieval="keyword", typos=False, stop_words=("x",))
    assert tuned.indexed == plain.indexed
    assert msgspec.structs.replace(plain, languages=("de",)).indexed != plain.indexed
