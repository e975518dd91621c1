"""The whole page: its languages, a ranking from upload to result, and what a second tab sees."""

from __future__ import annotations

from support.app_test import app_state, click, html, open_page, rank, red, settle, submit, upload


def test_the_page_speaks_both_languages() -> None:
    assert open_page("zh").title[0].value == "荔枝看图排序"
    assert open_page("en").title[0].value == "Lychee Rerank"


def test_images_are_ranked_best_first_and_unreadable_ones_last() -> None:
    app = upload(open_page(), ("a.png", red(30)), ("b.png", red(250)), ("c.jpg", b"not an image"))
    assert "c" in app.warning[0].value
    rank(app, "红色")
    shown = html(app)
    assert shown.index("b.png") < shown.index("a.png") < shown.index("c.jpg")
    assert "Rank 1 | Score: 9.8" in shown
    assert "Rank 3 | Score: –" in shown
    assert "不是可识别的图片格式" in shown


def test_an_english_page_has_no_chinese_text() -> None:
    app = settle(submit(upload(open_page("en"), ("a.png", red(200))), "red", button="Rank"))
    texts = [element.value for element in (*app.caption, *app.markdown, *app.text, *app.info)]
    labels = [element.label for element in (*app.button, *app.text_input, *app.radio, *app.toggle, *app.selectbox)]
    assert not [text for text in (*texts, *labels) if any("\u3000" <= char <= "\uffef" for char in text)]


def test_clear_all_removes_images_and_rankings() -> None:
    app = rank(upload(open_page(), ("a.png", red(200))), "红色")
    click(app, "全部清除")
    assert "a.png" not in html(app)
    assert not app_state().library.images()


def test_a_second_tab_finds_the_ranking() -> None:
    rank(upload(open_page(), ("a.png", red(200))), "红色")
    assert "Rank 1 |" in html(open_page())
