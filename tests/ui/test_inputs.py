"""Adding images, and what the page says when something is missing."""

from __future__ import annotations

from pathlib import Path

from support.app_test import click, html, open_page, rank, red, settle, submit, upload


def captions(app: object) -> str:
    return " ".join(caption.value for caption in app.caption)  # type: ignore[attr-defined]


def test_ranking_without_images_asks_for_images() -> None:
    assert [warning.value for warning in submit(open_page(), "猫").warning] == ["请先放入图片，再开始排序。"]


def test_an_empty_query_asks_for_one() -> None:
    app = submit(upload(open_page(), ("a.png", red(10))), "")
    assert app.warning[-1].value == "请先写一句话，说明想找什么样的图片。"


def test_a_query_of_punctuation_asks_for_words() -> None:
    app = submit(upload(open_page(), ("a.png", red(10))), "。。。")
    assert "只有标点" in app.warning[-1].value


def test_duplicate_contents_are_kept_once_and_named() -> None:
    app = upload(open_page(), ("a.png", red(9)), ("b.png", red(9)))
    assert "只保留一份" in captions(app)
    assert any("已放入 1 张图片" in expander.label for expander in app.expander)


def test_of_many_unreadable_files_five_are_named() -> None:
    app = upload(open_page(), *((f"{number}.jpg", bytes([number])) for number in range(1, 8)))
    warning = app.warning[0].value
    assert "有 7 张无法读取" in warning
    assert [f"{number}\\.jpg" in warning for number in range(1, 8)] == [True] * 5 + [False] * 2
    assert "……" in warning


def test_a_folder_that_does_not_exist_is_named() -> None:
    app = open_page()
    app.text_input(key="folder").set_value("/no/such/folder")
    assert "没有这个文件夹" in click(app, "添加").warning[0].value


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    app = open_page()
    app.text_input(key="folder").set_value(str(tmp_path))
    assert "这个文件夹里没有图片" in click(app, "添加").warning[0].value


def test_the_images_of_a_folder_are_ranked(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(red(100))
    app = open_page()
    app.text_input(key="folder").set_value(f' "{tmp_path}" ')  # as copied from a file manager
    assert "x.png" in html(rank(settle(click(app, "添加")), "红色"))


def test_the_samples_are_one_click_away() -> None:
    app = settle(click(open_page(), "用示例图片试试"))
    assert "28 张图片" in " ".join(expander.label for expander in app.expander)
