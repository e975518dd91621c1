"""What the tests of downloads share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_hub import FakeHub, serve, use_empty_caches


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the caches, "hf" and "ms"; broken downloads are continued without a pause."""
    use_empty_caches(tmp_path, monkeypatch)
    monkeypatch.setattr("lychee_rerank.weights.transfer._RETRY_PAUSES_S", (0.0,) * 7)
    monkeypatch.setattr("lychee_rerank.weights.transfer._REPORT_INTERVAL_S", 0.01)
    return tmp_path


@pytest.fixture
def fake_hub(published: Path, caches: Path) -> Iterator[FakeHub]:  # noqa: ARG001
    with serve(FakeHub(published)) as fake_hub:
        yield fake_hub
