"""The panel that downloads the real weights, against a hub on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank.devices.memory import GIB, MIB
from lychee_rerank.ui.download_panel import _progress_text
from lychee_rerank.ui.i18n import Language
from lychee_rerank.weights.locate import find_checkpoint
from lychee_rerank.weights.transfer import Progress
from support.app_test import app_state, open_page
from support.fake_hub import FakeHub, serve, use_empty_caches


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    use_empty_caches(tmp_path, monkeypatch)
    return open_page(weights=True)  # unfolded


def download(app: AppTest, mirror: str) -> AppTest:
    app.text_input(key="weights-mirror").set_value(mirror)
    app.button(key="weights-start").click().run()
    app_state().download.wait(30)
    for _ in range(100):  # the panel redraws the whole page once when the download has ended
        if not any(button.key == "weights-stop" for button in app.button):
            return app
        time.sleep(0.05)
        app.run()
    return pytest.fail("the download never ended")


def test_the_weights_are_downloaded_when_the_button_is_pressed(app: AppTest, published: Path) -> None:
    with serve(FakeHub(published)) as hub:
        assert not hub.requests
        download(app, hub.address)
    assert "下载完成" in app.success[0].value
    assert find_checkpoint().source == "huggingface"


def test_a_mirror_that_does_not_answer_is_an_error_and_can_be_tried_again(app: AppTest) -> None:
    download(app, "http://127.0.0.1:9")
    assert app.error
    assert any(button.key == "weights-start" for button in app.button)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(3 * GIB, 16_582_000_000), "3.0 GiB of 15.4 GiB"),
        (Progress(3 * GIB, 16_582_000_000, 33 * MIB, 390.0), "3.0 GiB of 15.4 GiB · 33 MiB/s · about 6 min left"),
    ],
)
def test_progress_gives_amount_speed_and_time_left_where_they_are_known(
    speak: Callable[[Language], None], progress: Progress, text: str
) -> None:
    speak("en")
    assert _progress_text(progress) == text
