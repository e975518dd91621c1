"""States and texts of the page, without a browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from lychee_rerank import ui
from support.images import encoded

APP = str(Path(__file__).parents[1] / "support" / "fake_app.py")
CHINESE = {"lang": "zh"}


@pytest.fixture(autouse=True)
def fresh_desk() -> Iterator[None]:
    ui._desk.cache_clear()
    yield
    ui._desk.cache_clear()


def page(language: str = "zh") -> AppTest:
    app = AppTest.from_file(APP, default_timeout=30)
    app.query_params["lang"] = language
    return app.run()


def red(amount: int) -> bytes:
    return encoded(Image.new("RGB", (60, 40), (amount, 0, 0)))


def drop(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]).run()
    return settled(app)


def settled(app: AppTest) -> AppTest:
    """Run again until nothing is being read or scored."""
    for _ in range(60):
        time.sleep(0.05)
        app.run()
        shown = " ".join(bar.proto.text for bar in app.get("progress"))
        if "还有" not in shown and not any(b.key == "stop" for b in app.button):
            return app
    return pytest.fail("the page never came to rest")


def ask(app: AppTest, query: str) -> AppTest:
    return settled(submit(app, query))


def submit(app: AppTest, query: str) -> AppTest:
    app.text_input(key="query").set_value(query)
    return next(button for button in app.button if button.label in ("开始排序", "Rank")).click().run()


def words(app: AppTest) -> str:
    """All that the page says in HTML, but for the latest events."""
    bodies = [element.proto.body for element in app.get("html")]
    return " ".join(body for body in bodies if 'class="events"' not in body)


def test_the_page_speaks_both_languages() -> None:
    assert page("zh").title[0].value == "荔枝看图排序"
    assert page("en").title[0].value == "Lychee Rerank"


def test_ranking_without_pictures_says_what_to_do() -> None:
    assert [warning.value for warning in submit(page(), "猫").warning] == ["请先放入图片，再开始排序。"]


def test_an_empty_query_says_what_to_do() -> None:
    app = submit(drop(page(), ("a.png", red(10))), "")
    assert app.warning[-1].value == "请先写一句话，说明想找什么样的图片。"


def test_pictures_are_ranked_best_first_and_bad_ones_last() -> None:
    app = drop(page(), ("a.png", red(30)), ("b.png", red(250)), ("c.jpg", b"no picture"))
    assert "c" in app.warning[0].value
    ask(app, "红色")
    shown = words(app)
    assert shown.index("b.png") < shown.index("a.png") < shown.index("c.jpg")
    assert "Rank 1 | Score: 9.8" in shown
    assert "Rank 3 | Score: –" in shown
    assert "不是可识别的图片格式" in shown


def test_names_and_answers_are_shown_as_text() -> None:
    shown = words(ask(drop(page(), ("<img src=x onerror=alert(1)>.png", red(200))), "红色"))
    assert "<img" not in shown
    assert "&lt;img src=x" in shown
    assert "&lt;b&gt;红" in shown


def test_an_answer_without_a_score_is_said_to_have_none() -> None:
    shown = words(ask(drop(page(), ("a.png", red(200))), "无分"))
    assert "模型未返回有效分数" in shown
    assert "未匹配到有效数字，返回默认值0.0" in shown


def test_the_same_picture_twice_is_kept_once_and_noted() -> None:
    app = drop(page(), ("a.png", red(9)), ("b.png", red(9)))
    assert "只保留一份" in " ".join(caption.value for caption in app.caption)


def test_clear_all_empties_the_desk() -> None:
    app = ask(drop(page(), ("a.png", red(200))), "红色")
    next(button for button in app.button if button.label == "全部清除").click().run()
    assert "a.png" not in words(app)


def test_a_second_tab_finds_the_ranking() -> None:
    ask(drop(page(), ("a.png", red(200))), "红色")
    assert "Rank 1 |" in words(page())


def test_a_folder_that_is_not_there_is_named() -> None:
    app = page()
    app.text_input(key="folder").set_value("/no/such/folder")
    next(button for button in app.button if button.label == "添加").click().run()
    assert "没有这个文件夹" in app.warning[0].value


def test_a_folder_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(red(100))
    app = page()
    app.text_input(key="folder").set_value(str(tmp_path))
    next(button for button in app.button if button.label == "添加").click().run()
    assert "x.png" in words(ask(settled(app), "红色"))
