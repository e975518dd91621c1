"""Make the README's screenshots from the real page: the demo checkpoint ranks the samples, in light and in dark.

uv run python tools/screenshots.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
PORT = 8597
QUERY = "a basketball on a blue background"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    server = subprocess.Popen([*command, "--server.port", str(PORT)], cwd=ROOT)
    try:
        _wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            for scheme in ("light", "dark"):
                _shoot(browser, scheme)
    finally:
        server.terminate()
        server.wait()


def _wait() -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health").close()
        except OSError:
            time.sleep(0.3)
        else:
            return


def _shoot(browser: Browser, scheme: str) -> None:
    context = browser.new_context(locale="en-GB", color_scheme=scheme, viewport={"width": 1440, "height": 1640})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{PORT}")
    page.get_by_text(re.compile("Not loaded yet|In use:")).wait_for()
    if scheme == "light":  # the other tab finds the ranking of this one
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Try the samples").click()
        page.get_by_text(re.compile(r"28 pictures")).wait_for()
        page.get_by_label("What should the pictures show?").fill(QUERY)
        page.get_by_label("What should the pictures show?").press("Enter")
    page.get_by_text(re.compile("^Done: ")).wait_for(timeout=180_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=ROOT / "docs" / f"page-{scheme}.png")
    context.close()


if __name__ == "__main__":
    main()
