"""The whole page: its languages, a ranking from upload to result, and what a second tab sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.app_test import app_state, click, html, open_page, rank, red, restart, settle, submit, upload


def test_the_page_speaks_both_languages() -> None:
    assert open_page("zh").title[0].value == "荔枝看图排序"
    assert open_page("en").title[0].value == "Lychee Rerank"


def test_images_are_ranked_best_first_and_unreadable_ones_last() -> None:
    app = upload(open_page(), ("a.png", red(30)), ("b.png", red(250)), ("c.jpg", b"not an image"))
    rank(app, "红色")
    shown = html(app)
    assert shown.index("b.png") < shown.index("a.png") < shown.index("c.jpg")
    assert "Rank 1 | Score: 9.8" in shown
    assert "Rank 3 | Score: –" in shown
    assert "不是可识别的图片格式" in shown


def test_an_english_page_has_no_chinese_text() -> None:
    app = settle(submit(upload(open_page("en"), ("a.png", red(200))), "red", button="Rerank"))
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


@pytest.mark.parametrize("tab", ["图片", "分数图", "导出", "记录与对照", "提示词"])
def test_every_tab_shows_the_rankings_after_a_new_start(tab: str) -> None:
    app = upload(open_page(), ("a.png", red(200)), ("b.png", red(30)), ("c.jpg", b"not an image"))
    for query in ("红色", "无分"):
        app = rank(app, query)
    before = rank(open_page(tabs=tab), "红色")
    restart()
    after = settle(open_page(tabs=tab))
    assert not after.exception
    assert html(after) == html(before)
    assert [text.value for text in after.text] == [text.value for text in before.text]


def test_after_a_new_start_files_that_vanished_are_said_and_old_rankings_still_show_them(tmp_path: Path) -> None:
    for amount in (50, 200):
        (tmp_path / f"{amount}.png").write_bytes(red(amount))
    open_page()
    app_state().library.add((file.name, file) for file in sorted(tmp_path.iterdir()))
    rank(settle(open_page()), "红色")
    (tmp_path / "200.png").unlink()
    restart()
    open_page()
    app = settle(open_page())
    assert "200\\.png（文件不存在）" in " ".join(caption.value for caption in app.caption)
    assert "Rank 1 | Score: 7.8" in html(app)
    assert all(image.preview.thumbnail for image in app_state().job.images)
    app = rank(app, "红色")
    assert "Rank 1 | Score: 2.0" in html(app)
    assert app_state().reranker.scored == 0
