"""Highlights: the right words, at the right code points, escaped for HTML."""

from __future__ import annotations

import html
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import InvalidInput
from searchsvc.analysis.highlight import Highlight, Highlighter, HighlightInput
from searchsvc.analysis.markup import without_markup
from searchsvc.analysis.query import Alternative, Query, QueryTerm
from tests.factories import SETTINGS

SHOE = Query("shoes", ("shoes",), (QueryTerm("shoes", (Alternative("shoe", "shoes", 1.0, "exact"),)),))


def highlights(text: str, query: Query = SHOE, **options: object) -> dict[str, Highlight]:
    settings = msgspec.convert({"pre": "[", "post": "]", **options}, HighlightInput)
    document = msgspec.Raw(msgspec.json.encode({"id": "1", "title": text, "text": ["no", "shoe here"]}))
    return Highlighter(query, SETTINGS, settings).highlight(document)


def test_matching_words_are_tagged_and_lists_are_joined() -> None:
    highlighted = highlights("Red SHOES, <b>shoe</b> & more")
    assert highlighted["title"].snippet == "Red [SHOES], [shoe] &amp; more"
    assert highlighted["title"].offsets == [(4, 9), (14, 18)]
    assert highlighted["text"].snippet == "no [shoe] here"
    assert set(highlights("boots", fields=["title"])) == set()


def test_what_looks_like_a_tag_and_is_none_is_escaped() -> None:
    assert highlights("shoe <x> 1 < 2")["title"].snippet == "[shoe] &lt;x&gt; 1 &lt; 2"


def test_offsets_count_code_points_of_the_text_as_it_is() -> None:
    text = "😀 ﬁne Schöne Shoes"
    ((start, end),) = highlights(text)["title"].offsets
    assert text[start:end] == "Shoes"


def test_a_snippet_is_cut_around_most_of_the_matches() -> None:
    text = "shoe " + "word " * 50 + "a shoe and a shoe " + "word " * 50
    snippet = highlights(text, words=10)["title"].snippet
    assert snippet.count("[shoe]") == 2
    assert snippet.startswith("… ")
    assert snippet.endswith(" …")
    assert highlights(text, words=0)["title"].snippet.count("[shoe]") == 3


def test_a_compound_is_also_highlighted_in_parts() -> None:
    inches = QueryTerm("14inch", (Alternative("14inch", "14inch", 1.0, "exact"),), parts=("14", "inch"))
    assert highlights("Laptop 14 inch, 14in", Query("14 inch", ("14", "inch"), (inches,)))["title"].snippet == (
        "Laptop [14] [inch], [14in]"
    )


def test_a_word_written_in_parts_is_highlighted_for_a_query_of_one_word() -> None:
    wifi = Query("wifi", ("wifi",), (QueryTerm("wifi", (Alternative("wifi", "wifi", 1.0, "exact"),)),))
    assert highlights("A Wi-Fi router, wi fi", wifi)["title"].snippet == "A [Wi]-[Fi] router, wi fi"


def test_the_text_that_is_highlighted_is_bounded() -> None:
    highlight = highlights("shoe " + "x" * 30_000 + " shoe", words=0)["title"]
    assert highlight.offsets == [(0, 4)]
    assert len(highlight.snippet) < 21_000
    assert highlight.snippet.endswith(" …")
    document = msgspec.Raw(msgspec.json.encode({"id": "1", "title": "shoe " * 4000}))
    highlighter = Highlighter(SHOE, SETTINGS, HighlightInput())
    assert sum(bool(highlighter.highlight(document)) for _ in range(40)) == 25


@pytest.mark.parametrize(
    ("pre", "post", "marked"),
    [
        ("<mark class='x'>", None, "<mark class='x'>shoe</mark>"),
        ("<i><b>", None, "<i><b>shoe</b></i>"),
        ("**", None, "**shoe**"),
        ("<b>", "", "<b>shoe"),
        ("", None, "shoe"),
        ("<b>", "</B>", "<b>shoe</B>"),
    ],
)
def test_a_word_ends_with_the_tags_that_it_begins_with(pre: str, post: str | None, marked: str) -> None:
    assert highlights("red shoe", pre=pre, post=post)["title"].snippet == f"red {marked}"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one of title, text"):
        Highlighter(SHOE, SETTINGS, HighlightInput(fields=["nope"]))


@given(st.text(max_size=200), st.integers(0, 5))
def test_a_snippet_without_its_tags_is_a_part_of_the_text(text: str, words: int) -> None:
    text += " shoe"
    highlight = highlights(text, pre="\x01", post="\x02", words=words)["title"]
    plain = html.unescape(highlight.snippet.replace("\x01", "").replace("\x02", ""))
    inner = plain.removeprefix("… ").removesuffix(" …")
    read = html.unescape(re.sub(" {2,}", " ", without_markup(text)))
    assert inner in read.replace("\x01", "").replace("\x02", "") or "\x01" in text or "\x02" in text
    assert all(text[start:end].casefold().startswith("shoe") for start, end in highlight.offsets)
