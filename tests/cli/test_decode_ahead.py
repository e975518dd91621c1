"""Images decoded while the model is loaded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.cli import decode_ahead as module
from lychee_rerank.cli.decode_ahead import decode_ahead


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.new("RGB", (500, 500), "red").save(path)
    return [str(path) for path in paths]


def test_the_first_images_are_decoded_for_the_fit(files: list[str]) -> None:
    with decode_ahead(files, "crop") as decoded:
        while len(decoded) < 3:
            time.sleep(0.01)
    assert [decoded[file].image.size for file in files] == [(384, 384)] * 3


def test_no_more_than_a_few_are_decoded(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_IMAGES", 2)
    with decode_ahead(files, "crop") as decoded:
        while len(decoded) < 2:
            time.sleep(0.01)
    assert list(decoded) == files[:2]


def test_an_image_with_a_problem_is_left_to_the_run(files: list[str]) -> None:
    Path(files[0]).write_text("no image", encoding="utf-8")
    with decode_ahead(files, "crop") as decoded:
        while len(decoded) < 2:
            time.sleep(0.01)
    assert list(decoded) == files[1:]


def test_it_ends_with_the_body_though_that_fails(files: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), decode_ahead(files * 1000, "crop") as decoded:
        raise KeyboardInterrupt
    assert len(decoded) <= 1
