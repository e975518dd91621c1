"""The region that fetches the real weights, against a hub on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank import ui
from lychee_rerank.weights.locate import find_checkpoint
from support.fake_hub import Hub, served

APP = str(Path(__file__).parents[1] / "support" / "fake_app.py")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.delenv("LYCHEE_MODEL", raising=False)
    ui._desk.cache_clear()
    app = AppTest.from_file(APP, default_timeout=30)
    app.query_params["lang"] = "zh"
    app.session_state["weights"] = True  # unfolded
    yield app.run()
    ui._desk.cache_clear()


def fetched(app: AppTest, mirror: str) -> AppTest:
    app.text_input(key="weights-mirror").set_value(mirror)
    app.button(key="weights-start").click().run()
    for _ in range(200):
        if not any(button.key == "weights-stop" for button in app.button):
            return app
        time.sleep(0.05)
        app.run()
    return pytest.fail("the download never ended")


def test_the_weights_are_fetched_when_the_button_is_pressed(app: AppTest, published: Path) -> None:
    with served(Hub(published)) as hub:
        assert not hub.served
        fetched(app, hub.address)
    assert "下载完成" in app.success[0].value
    assert find_checkpoint().source == "huggingface"


def test_a_mirror_that_is_not_there_is_said_and_can_be_tried_again(app: AppTest) -> None:
    fetched(app, "http://127.0.0.1:9")
    assert app.error
    assert any(button.key == "weights-start" for button in app.button)
