"""The model's answer under an image."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lychee_rerank.ui import i18n
from support.app_test import click, html, open_page, rank, red, settle, upload


def test_the_answer_names_the_tier_and_the_rule_that_found_the_score() -> None:
    shown = html(rank(upload(open_page(), ("a.png", red(200))), "红色"))
    assert "得分：<mark>7.8</mark>分。" in shown
    assert "主模式匹配成功" in shown
    assert f"提取所用的模式：{i18n._RULES_ZH['score at the start']}" in shown


def test_a_rule_without_a_chinese_name_is_shown_by_its_english_one(speak: Callable[[i18n.Language], None]) -> None:
    speak("zh")
    assert i18n.rule_name("roman numerals") == "roman numerals"
    speak("en")
    assert i18n.rule_name("total") == "total"


def test_an_answer_without_a_score_is_red_and_unfolded() -> None:
    app = rank(upload(open_page(), ("a.png", red(200))), "无分")
    assert '<div class="bad"><b>模型未返回有效分数</b><br>未匹配到有效数字，返回默认值0.0</div>' in html(app)
    assert [box.proto.expanded for box in app.expander if box.label == "模型输出"] == [True]


def test_an_answer_with_a_score_is_folded() -> None:
    app = rank(upload(open_page(), ("a.png", red(200))), "红色")
    assert [box.proto.expanded for box in app.expander if box.label == "模型输出"] == [False]


def test_an_image_without_a_score_has_a_preprocessing_warning() -> None:
    shown = html(rank(upload(open_page(), ("a.png", b"not an image")), "红色"))
    assert "预处理警告" in shown
    assert "不是可识别的图片格式" in shown


def test_a_yes_no_answer_comes_with_its_probability() -> None:
    app = upload(open_page(), ("a.png", red(255)))
    app.radio(key="method").set_value("yes_no")
    assert "回答：yes　“是”的概率：100.0%" in html(rank(app, "红色"))


def test_the_conditions_of_the_query_are_below_the_answer() -> None:
    answer, bars = html(rank(upload(open_page(), ("a.png", red(200))), "红色，蓝色")).split('<dl class="conditions">')
    assert "得分：<mark>7.8</mark>分。" in answer
    assert '<dt title="红色">红色</dt>' in bars
    assert "<small>最弱</small> 0.0</dd>" in bars


def test_conditions_that_were_not_scored_can_be_asked_for() -> None:
    app = upload(open_page(), ("a.png", red(200)), ("b.png", red(100)))
    app.toggle(key="conditions").set_value(False)
    rank(app, "红色，蓝色")
    assert [button.label for button in app.button].count("逐个条件打分") == 2
    shown = html(settle(click(app, "逐个条件打分")))
    assert shown.count('<dl class="conditions">') == 1
    assert [button.label for button in app.button].count("逐个条件打分") == 1


@pytest.mark.parametrize("file", [red(200), b"not an image"], ids=["one condition", "no score"])
def test_where_there_are_no_conditions_to_score_none_can_be_asked_for(file: bytes) -> None:
    app = rank(upload(open_page(), ("a.png", file)), "红色" if file == red(200) else "红色，蓝色")
    assert "逐个条件打分" not in [button.label for button in app.button]


@pytest.mark.parametrize("text", ["&lt;img src=x", "&lt;b&gt;红"])
def test_file_names_and_answers_are_shown_as_text(text: str) -> None:
    shown = html(rank(upload(open_page(), ("<img src=x onerror=alert(1)>.png", red(200))), "红色"))
    assert "<img" not in shown
    assert text in shown
