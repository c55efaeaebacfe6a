"""Pages hold no more than their limits, but never nothing."""

from __future__ import annotations

import pytest

from events.errors import InvalidInput
from searchsvc.runtime.pages import MAX_PAGE_BYTES, NamedPage, Page, named_page


def test_a_page_takes_items_up_to_its_bytes_and_no_more() -> None:
    page = Page[str](10, max_bytes=100)
    assert [page.add("a", 60), page.add("b", 40), page.add("c", 1)] == [True, True, False]
    assert page.items == ["a", "b"]


def test_a_page_takes_items_up_to_its_limit_and_no_more() -> None:
    page = Page[str](2)
    assert [page.add("a", 1), page.add("b", 1)] == [True, False]
    assert page.items == ["a", "b"]


def test_an_item_that_is_larger_than_a_page_is_a_page() -> None:
    page = Page[str](2, max_bytes=100)
    assert [page.add("a", 101), page.add("b", 1)] == [True, False]
    assert page.items == ["a"]


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_that_is_not_allowed_is_named(limit: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 1000") as refused:
        Page[str](limit)
    assert refused.value.field == "limit"


def test_a_list_by_name_goes_on_past_the_last_name_of_a_page() -> None:
    names = {"c", "a", "d", "b"}
    assert named_page(names, str.upper, "", 3) == NamedPage(["A", "B", "C"], "c")
    assert named_page(names, str.upper, "c", 3) == NamedPage(["D"], None)
    assert named_page(names, str.upper, "d", 3) == NamedPage([], None)


def test_a_list_by_name_is_bounded_by_bytes() -> None:
    items = {name: name * (MAX_PAGE_BYTES // 3) for name in "abc"}
    pages = [named_page(items, items.__getitem__, after, 100) for after in ("", "b")]
    assert [([item[0] for item in page.items], page.next_after) for page in pages] == [(["a", "b"], "b"), (["c"], None)]
