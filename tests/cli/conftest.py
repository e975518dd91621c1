"""A folder of images of known brightness and a reranker that orders by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.reranker import Reranker
from support.fake_cli import BrightnessBackend, brightness_reranker

BRIGHTNESS = {"night.png": 10, "dusk.png": 90, "白天.png": 200, "noon[1].png": 250}


@pytest.fixture
def best_first() -> list[str]:
    return ["noon[1].png", "白天.png", "dusk.png", "night.png"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, brightness in BRIGHTNESS.items():
        Image.new("L", (8, 8), brightness).save(folder / name)
    return folder


@pytest.fixture
def backend() -> BrightnessBackend:
    return BrightnessBackend()


@pytest.fixture
def reranker(backend: BrightnessBackend, monkeypatch: pytest.MonkeyPatch) -> Reranker:
    """The reranker that `rank` uses."""
    reranker = brightness_reranker(backend)
    monkeypatch.setattr("lychee_rerank.cli.rank.open_reranker", lambda *_, **__: reranker)
    return reranker
