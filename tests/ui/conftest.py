"""Every test of the page starts with nothing loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lychee_rerank import ui


@pytest.fixture(autouse=True)
def fresh_app_state() -> Iterator[None]:
    ui._app_state.cache_clear()
    yield
    ui._app_state.cache_clear()
