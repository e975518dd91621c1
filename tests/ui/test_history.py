"""Going back to earlier rankings, and comparing two."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank.ui.history import _rank_changes, _title
from support.app_test import app_state, click, html, open_page, rank, red, upload


def two_rankings() -> AppTest:
    app = upload(open_page(tabs="记录与对照"), ("a.png", red(50)), ("b.png", red(250)))
    return rank(rank(app, "红色"), "无分")


def test_earlier_rankings_are_listed_with_their_best_image_latest_first() -> None:
    texts = [text.value for text in two_rankings().text]
    assert [text[8:] for text in texts] == [
        "　无分",
        "2 张，第一名 0.0 a.png"[8:],
        "　红色",
        "2 张，第一名 9.8 b.png"[8:],
    ]


def test_an_earlier_ranking_is_shown_until_a_new_one_starts() -> None:
    app = click(two_rankings(), "查看").run()
    assert "Rank 1 | Score: 9.8" in html(app)
    assert any(text.value.startswith("正在回看：") for text in app.text)
    app = rank(app, "无分")
    assert "Rank 1 | Score: 0.0" in html(app)


def test_back_to_latest_shows_the_latest_ranking() -> None:
    app = click(click(two_rankings(), "查看").run(), "回到最新").run()
    assert "Rank 1 | Score: 0.0" in html(app)


def test_a_single_ranking_has_nothing_to_compare_with() -> None:
    app = rank(upload(open_page(tabs="记录与对照"), ("a.png", red(50))), "红色")
    assert "再排一次，就可以在这里对照两次的结果。" in [caption.value for caption in app.caption]


def test_a_comparison_gives_both_ranks_and_the_change() -> None:
    two_rankings()
    with_scores, without_scores = app_state().jobs
    rows = [list(row.values()) for row in _rank_changes(with_scores, without_scores)]
    assert rows == [["b.png", 1, 9.8, 2, 0.0, 1], ["a.png", 2, 2.0, 1, 0.0, -1]]


def test_an_image_that_the_other_ranking_lacks_has_no_change() -> None:
    app = rank(upload(open_page(), ("a.png", red(50))), "红色")
    rank(upload(app, ("b.png", red(250))), "红色的")
    first, second = app_state().jobs
    assert [list(row.values()) for row in _rank_changes(second, first)] == [
        ["b.png", 1, 9.8, None, None, None],
        ["a.png", 2, 2.0, 1, 2.0, -1],
    ]


@pytest.mark.parametrize(("days", "form"), [(0, "%H:%M:%S"), (1, "%Y-%m-%d %H:%M"), (400, "%Y-%m-%d %H:%M")])
def test_a_ranking_of_another_day_has_its_date(speak: Callable[[str], None], days: int, form: str) -> None:
    speak("en")
    started = time.time() - days * 24 * 3600
    job = SimpleNamespace(started=started, query=SimpleNamespace(text="red"))
    assert _title(job) == f"{time.strftime(form, time.localtime(started))}  red"
