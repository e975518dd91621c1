"""Make the README's screenshots from the real page: the demo checkpoint ranks the samples, in light and in dark.

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

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
PORT = 8597
QUERY = "a basketball on a blue background"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    with _serve_page() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        _screenshot(browser, url, "light", query=QUERY)
        _screenshot(browser, url, "dark")  # shows the same ranking


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


def _screenshot(browser: Browser, url: str, scheme: Literal["light", "dark"], query: str = "") -> None:
    context = browser.new_context(locale="en-GB", color_scheme=scheme, viewport={"width": 1440, "height": 1640})
    page = context.new_page()
    page.goto(url)
    if query:
        page.get_by_role("button", name="Try the samples").click()
        page.get_by_text(re.compile("^28 loaded")).wait_for()
        page.get_by_label("What should the pictures show?").fill(query)
        page.get_by_label("What should the pictures show?").press("Enter")
    page.get_by_text(re.compile("^Done: ")).wait_for(timeout=180_000)
    page.locator('[class*="st-key-card-"] img').nth(5).wait_for()
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.mouse.move(0, 0)  # no image is zoomed
    page.screenshot(path=ROOT / "docs" / f"page-{scheme}.png")
    context.close()


if __name__ == "__main__":
    main()
