"""The page over FakeReranker in Streamlit's AppTest, and what a person does on it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from lychee_rerank import ui
from lychee_rerank.ui.state import AppState
from support.fake_reranker import load_fake_reranker
from support.images import encode
from support.page_server import FAKE_APP


def open_page(language: str = "zh", **session: object) -> AppTest:
    app = AppTest.from_file(str(FAKE_APP), default_timeout=30)
    app.query_params["lang"] = language
    for key, value in session.items():
        app.session_state[key] = value
    return app.run()


def app_state() -> AppState:
    """The state that every page opened in this test shares."""
    return ui._app_state(load_fake_reranker)


def restart() -> None:
    """What is kept stays; everything in memory is lost. Pages have to be opened anew."""
    ui._app_state.cache_clear()


def settle(app: AppTest) -> AppTest:
    """Wait until nothing is being read or scored, and draw the page."""
    state = app_state()
    for _ in range(1000):
        if not state.library.waiting and not state.busy:
            return app.run()
        time.sleep(0.01)
    return pytest.fail("the page never came to rest")


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]).run()
    return settle(app)


def click(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def add_folder(app: AppTest, path: str | Path) -> AppTest:
    """Press the button beside the folder box."""
    app.text_input(key="folder").set_value(str(path))
    return click(app, "添加")


def submit(app: AppTest, query: str, button: str = "开始重排序") -> AppTest:
    app.text_input(key="query").set_value(query)
    return click(app, button)


def rank(app: AppTest, query: str) -> AppTest:
    return settle(submit(app, query))


def html(app: AppTest) -> str:
    """All HTML of the page, except the latest events."""
    bodies = [element.proto.body for element in app.get("html")]
    return " ".join(body for body in bodies if 'class="events"' not in body)


def red(amount: int) -> bytes:
    """A PNG that FakeReranker scores with amount / 25.5."""
    return encode(Image.new("RGB", (60, 40), (amount, 0, 0)))
