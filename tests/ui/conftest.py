"""Every test of the page starts with nothing loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lychee_rerank import ui
from lychee_rerank.ui import i18n


@pytest.fixture(autouse=True)
def fresh_app_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # AppTest goes through Streamlit's settings while the page is drawn, and fails where an import adds some meanwhile.
    monkeypatch.setattr(ui, "import_in_background", lambda: None)
    ui._app_state.cache_clear()
    yield
    ui._app_state.cache_clear()


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch) -> Callable[[i18n.Language], None]:
    """Sets the language of what a test calls outside a page."""
    return lambda language: monkeypatch.setattr(i18n, "page_language", lambda: language)
