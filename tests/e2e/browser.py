"""A real Chromium for the tests, and the picture of the demo page in the README.

python -m tests.e2e.browser FILE     what `make screenshot` does
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from playwright.sync_api import Page, expect, sync_playwright

from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from tests.running import RunningService

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def open_browser(chromium: str, profile: Path, *, width: int = 1280, height: int = 720) -> Iterator[Page]:
    """A page of a new browser. An error on its console raises AssertionError at the end."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=chromium,
            headless=True,
            args=FLAGS,
            viewport={"width": width, "height": height},
        )
        page = context.pages[0]
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        yield page
        context.close()
    assert errors == []


def take_screenshot(page: Page, url: str, file: Path, *, index: str = "demo") -> None:
    """Write a picture of the demo page: a search, the reasons for the first hit, the weights."""
    page.goto(f"{url}/?index={index}&q=wireless+headphones")
    page.locator("#hits details summary").first.click()
    expect(page.locator("#hits .why").first).to_contain_text("bm25.title")
    page.screenshot(path=file)


def main(file: Path) -> None:
    chromium = which("chromium")
    if chromium is None:
        raise SystemExit("no chromium on the PATH: `make tools` installs it")
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder) / "data")
        try:
            import_documents(service.url, "demo", sample_catalogue())
            with open_browser(chromium, Path(folder) / "profile", width=1200, height=700) as page:
                take_screenshot(page, service.url, file)
        finally:
            service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
