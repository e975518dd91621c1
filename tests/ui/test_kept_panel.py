"""What is kept on this machine: where, how much, and how it is deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from support.app_test import html, open_page, rank, red, upload


def captions(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def test_the_panel_names_folder_size_and_number_of_scores() -> None:
    app = rank(upload(open_page(kept=True), ("a.png", red(200)), ("b.png", red(10))), "红色")
    assert os.environ["LYCHEE_STORE"] in [code.value for code in app.code]
    assert "2 个分数" in captions(app) and "KiB" in captions(app)
    assert "1.0 GiB" in captions(app)


def test_where_nothing_can_be_kept_the_page_says_so_and_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LYCHEE_STORE", str(tmp_path / "file"))
    app = rank(upload(open_page(kept=True), ("a.png", red(200))), "红色")
    assert not app.exception
    assert "Rank 1 | Score: 7.8" in html(app)
    assert any("没有保存到本机" in warning.value for warning in app.warning)
    assert "没有存到本机" not in captions(app)
