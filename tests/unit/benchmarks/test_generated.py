"""Catalogues that are generated from a real one, and charts."""

from __future__ import annotations

from itertools import islice
from xml.etree import ElementTree

import pytest

from benchmarks.chart import line_chart
from benchmarks.generated import catalogue
from benchmarks.inprocess import facet_fields
from events.errors import InvalidInput

DOCUMENTS = [
    {"title": "Kensington Duo Gel Mouse Pad", "supplier": "Kensington"},
    {"title": "Logitech Wireless Mouse M185", "brand": "Logitech"},
    {"id": "no title"},
]


def test_a_generated_catalogue_repeats_and_has_no_title_twice() -> None:
    products = list(catalogue(DOCUMENTS, 50))
    assert products == list(catalogue(DOCUMENTS, 50))
    assert products[:20] == list(islice(catalogue(DOCUMENTS, 1000), 20))
    assert len({product["title"] for product in products}) == len({product["id"] for product in products}) == 50
    assert {product["supplier"] for product in products} == {"Kensington", "Logitech"}


def test_a_catalogue_without_titles_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no document has a title"):
        next(catalogue(DOCUMENTS[2:], 1))


def test_facets_are_the_members_whose_values_documents_share() -> None:
    products = list(catalogue(DOCUMENTS, 50))
    fields = facet_fields(products)
    assert {"supplier", "colour", "in_stock"} <= set(fields)
    assert not {"id", "title", "article_number"} & set(fields)
    assert facet_fields(products[:1]) == []


def test_a_chart_has_a_line_for_each_side() -> None:
    svg = ElementTree.fromstring(line_chart([(0.5, 0.4), (0.6, 0.4)], "title", "impressions"))
    lines = svg.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len((line.get("points") or "").split()) for line in lines] == [2, 2]
