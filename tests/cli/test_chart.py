"""The chart of `lychee-rerank eval --plot`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lychee_rerank.cli.chart import check_drawable, draw
from lychee_rerank.errors import InputError
from lychee_rerank.rankings.evaluate import Metrics

METRICS = Metrics(0.9, 0.8, 1.0, 0.7, 0.6, 0.5, 0.4, 2.0, 3.0, None)


def test_the_chart_becomes_a_png_without_network(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="the extra `plot` is not installed")
    draw({"one": METRICS}, tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert image.format == "PNG" and image.getextrema() != ((255, 255),) * 3


def test_the_chart_shows_each_setting_and_one_confidence_interval_each(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="the extra `plot` is not installed")
    draw({"yes_no, normalised": METRICS, "yes_no, as typed": METRICS}, tmp_path / "c.svg")
    svg = (tmp_path / "c.svg").read_text("utf-8")
    assert "yes_no, as typed" in svg and "NDCG@10" in svg
    assert svg.count("; low: ") == 2


def test_only_png_and_svg_can_be_drawn() -> None:
    with pytest.raises(InputError, match=r"its name must end in \.png or \.svg"):
        check_drawable(Path("chart.pdf"))


def test_without_vl_convert_the_sentence_says_how_to_start_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lychee_rerank.cli.chart.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="--plot needs vl-convert: start with `uv run --extra plot "):
        check_drawable(Path("chart.png"))
