"""The storefront in a real browser: search, see why, click, move a weight."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from searchsvc.cli.data import import_documents
from tests.e2e.browser import open_browser, take_screenshot
from tests.running import RunningService

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: str, service: RunningService, tmp_path: Path) -> Iterator[Page]:
    """The storefront; any error on the page's console fails the test."""
    with open_browser(chromium, tmp_path / "profile") as opened:
        opened.goto(f"{service.url}/?index=shop")
        yield opened


def test_typing_searches_and_says_why(page: Page) -> None:
    expect(page.locator("#hits li")).to_have_count(10)
    page.fill("#query", "wireless headphones")
    expect(page.locator("#hits li").first).to_contain_text("headphones")
    page.locator("#hits details summary").first.click()
    expect(page.locator("#hits .why").first).to_contain_text("bm25.title")
    expect(page).to_have_url(re.compile("q=wireless"))


def test_what_is_typed_before_the_page_knows_its_index_is_searched_once_it_does(
    page: Page, service: RunningService
) -> None:
    def type_first(route: Route) -> None:
        page.fill("#query", "kettle")
        route.continue_()

    page.route("**/v1/indexes", type_first)
    page.goto(f"{service.url}/?index=shop&q=shoes")
    expect(page.locator("#hits li").first).to_contain_text("kettle")
    expect(page).to_have_url(re.compile("q=kettle"))


def test_opening_a_document_shows_it_and_sends_the_click(page: Page, service: RunningService) -> None:
    page.fill("#query", "kettle")
    expect(page.locator("#hits li").first).to_contain_text("kettle")
    page.locator("#hits .open").first.click()
    expect(page.locator("#document")).to_be_visible()
    expect(page.locator("#document-members")).to_contain_text("price")
    expect(page.locator("#message")).to_contain_text("recorded")
    page.keyboard.press("Escape")
    expect(page.locator("#document")).not_to_be_visible()


def test_a_slider_moves_a_weight_and_the_ranking_at_once(page: Page, service: RunningService) -> None:
    page.fill("#query", "norvik laptop")
    expect(page.locator("#hits li").first).to_contain_text("laptop")
    slider = page.locator("input[data-weight='bm25.brand']")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#message")).to_contain_text("bm25.brand = 5")
    expect(page.locator("#hits li").first).to_contain_text("Norvik")
    _, weights = service.call("GET", "/v1/indexes/shop/weights")
    assert weights["weights"]["bm25.brand"] == 5.0
    _, history = service.call("GET", "/v1/indexes/shop/weights/history")
    assert (history["changes"][0]["actor"], history["changes"][0]["reason"]) == (
        "storefront",
        "set in the storefront",
    )


def test_a_weight_that_takes_away_can_take_more_or_nothing(page: Page, service: RunningService) -> None:
    slider = page.locator("input[data-weight='accessory']")
    expect(slider).to_have_value("-0.5")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#message")).to_contain_text("accessory = -5")
    page.keyboard.press("End")
    expect(page.locator("#message")).to_contain_text("accessory = 5")
    service.call("PUT", "/v1/indexes/shop/weights", {"weights": {"accessory": -0.5}, "reason": "as before"})


def test_markup_in_a_document_is_shown_as_text(page: Page, service: RunningService) -> None:
    document = (
        b'{"id":"xss","title":"<img src=x onerror=alert(1)> zebracrossing","description":"<script>alert(2)</script> b"}'
    )
    import_documents(service.url, "shop", [document])
    page.fill("#query", "zebracrossing")
    expect(page.locator("#hits li").first).to_contain_text("<img src=x onerror=alert(1)>", timeout=10_000)
    assert page.locator("#hits img").count() == 0


def test_pages_go_forward_and_back(page: Page) -> None:
    page.fill("#query", "shoes")
    expect(page.locator("#hits .rank").first).to_have_text("1.")
    page.click("#next")
    expect(page.locator("#hits .rank").first).to_have_text("11.")
    page.click("#previous")
    expect(page.locator("#hits .rank").first).to_have_text("1.")


def test_the_picture_of_the_readme_can_be_taken(page: Page, service: RunningService, tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    take_screenshot(page, service.url, picture, index="shop")
    assert picture.read_bytes().startswith(b"\x89PNG")
