"""The examples, run as a person runs them, on the demo checkpoint."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.slow

Run = Callable[..., list[list[str]]]
COLORS = ("red", "green", "blue")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for color in COLORS:
        image = Image.new("RGB", (400, 400), "white")
        ImageDraw.Draw(image).ellipse((80, 80, 320, 320), fill=color)
        image.save(folder / f"{color}.png")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("LYCHEE_MODEL", "demo")

    def run(example: str, *arguments: object) -> list[list[str]]:
        monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    return run


def test_the_folder_example_ranks_every_image_best_first(run: Run, images: Path) -> None:
    lines = run("folder.py", "a red circle", images)
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert sorted(line[2] for line in lines) == sorted(f"{color}.png" for color in COLORS)
    scores = [float(line[1]) for line in lines]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 10 for score in scores)


def test_the_iterator_example_scores_in_order_and_survives_a_bad_image(
    run: Run,
    images: Path,
    tmp_path: Path,
) -> None:
    with ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.write(images / "blue.png", "蓝.png")
        archive.writestr("bad.png", b"no image")
        archive.write(images / "red.png", "红.png")
    lines = run("iterator.py", "红色的圆", tmp_path / "images.zip")
    assert [line[1] for line in lines] == ["蓝.png", "bad.png", "红.png"]
    assert [bool(line[2]) for line in lines] == [False, True, False]


def test_the_many_queries_example_names_the_best_for_each(run: Run, images: Path) -> None:
    lines = run("many_queries.py", images, "a red circle", "蓝色的圆")
    assert [line[0] for line in lines] == ["a red circle", "蓝色的圆"]
    assert all(line[2] in {f"{color}.png" for color in COLORS} for line in lines)
