"""Make the README's screenshots from the real page, over which the demo checkpoint has ranked the samples.

uv run python -m tools.screenshots
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
PORT = 8597
QUERY = "a basketball on a blue background"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    with _serve_page() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        _ranking(browser, url)
        _large_view(browser, url)


@contextmanager
def _serve_page() -> Iterator[str]:
    url = f"http://127.0.0.1:{PORT}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={PORT}"]
    with tempfile.TemporaryDirectory() as store:  # not what the person at this machine has kept
        server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"LYCHEE_STORE": store})
        try:
            _wait_until_healthy(url)
            yield url
        finally:
            server.terminate()
            server.wait()


def _wait_until_healthy(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health").close()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit("The page's server never became healthy.")


def _ranking(browser: Browser, url: str) -> None:
    """In light, the answers of the first row opened."""
    page = _open(browser, url, "light", height=1760)
    page.get_by_role("button", name="Try the samples").click()
    page.get_by_text(re.compile("^28 loaded")).wait_for()
    page.get_by_label("What should the pictures show?").fill(QUERY)
    page.get_by_label("What should the pictures show?").press("Enter")
    _wait_until_ranked(page)
    for position in range(3):
        page.get_by_text("Model output").nth(position).click()
        page.locator(".conditions").nth(position).wait_for()
    page.get_by_role("button", name="Keep").first.click()
    page.get_by_role("button", name="Kept").first.wait_for()
    page.mouse.move(0, 0)  # no image is zoomed
    _save(page, "page-light.png")


def _large_view(browser: Browser, url: str) -> None:
    """In dark, of the same ranking's best image."""
    page = _open(browser, url, "dark", height=820)
    _wait_until_ranked(page)
    page.locator('[class*="st-key-large-"] button').first.click()
    page.get_by_text("1 / ").wait_for()
    _save(page, "large-view-dark.png")


def _open(browser: Browser, url: str, scheme: Literal["light", "dark"], height: int) -> Page:
    context = browser.new_context(locale="en-GB", color_scheme=scheme, viewport={"width": 1440, "height": height})
    page = context.new_page()
    page.goto(url)
    return page


def _wait_until_ranked(page: Page) -> None:
    page.get_by_text(re.compile("^Done: ")).wait_for(timeout=180_000)
    page.locator('[class*="st-key-card-"] img').nth(5).wait_for()


def _save(page: Page, file: str) -> None:
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.screenshot(path=ROOT / "docs" / file)


if __name__ == "__main__":
    main()
