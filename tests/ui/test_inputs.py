"""Adding images: dropped ones, a folder's, and the samples."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.app_test import add_folder, app_state, click, html, open_page, rank, red, settle, submit, upload

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
TABS = {
    "zh": ("图片", "分数图", "导出", "记录与对照", "提示词"),
    "en": ("Pictures", "Scores", "Export", "History", "Prompt"),
}


def test_a_folder_that_does_not_exist_is_named() -> None:
    assert "没有这个文件夹" in add_folder(open_page(), "/no/such/folder").warning[0].value


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    assert "这个文件夹里没有图片" in add_folder(open_page(), tmp_path).warning[0].value
    (tmp_path / "a.jxl").touch()
    assert "这个文件夹里没有图片" in (warning := add_folder(open_page(), tmp_path).warning[0].value)
    assert "1 个 \\.jxl" in warning


def test_the_images_of_a_folder_are_ranked(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(red(100))
    for text in (f' "{tmp_path}" ', tmp_path.as_uri(), tmp_path / "x.png"):  # as copied from a file manager
        app = add_folder(open_page(), text)
        assert not app.exception and not app.warning
        assert "x.png" in html(rank(settle(app), "红色"))
        click(app, "全部清除")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("~no-such-user/x", "没有这个文件夹或图片：\\~no\\-such\\-user/x"),
        ("a\0b", "没有这个文件夹或图片：a\ufffdb"),
        ('""', "没有这个文件夹或图片："),
        pytest.param("a" * 300, "a…（File name too long）", marks=posix),
        pytest.param("b/" * 2500, "b/b…（File name too long）", marks=posix),
    ],
)
def test_a_path_that_cannot_be_used_is_answered_by_one_sentence(text: str, warning: str) -> None:
    app = add_folder(open_page(), text)
    assert not app.exception
    assert [len(shown.value) < 500 for shown in app.warning] == [True]
    assert warning in app.warning[0].value


def test_without_a_home_directory_a_tilde_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does for a person without one
    assert "没有这个文件夹或图片" in add_folder(open_page(), "~/x").warning[0].value


def test_a_path_below_a_closed_folder_is_called_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os_stat, closed = os.stat, str(tmp_path / "closed" / "x")

    def stat(path: str | Path, **options: object) -> os.stat_result:
        if str(path) == closed:
            raise PermissionError(13, "Permission denied")
        return os_stat(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    assert (
        "无法打开" in (warning := add_folder(open_page(), closed).warning[0].value) and "Permission denied" in warning
    )


@posix
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert "没有这个文件夹或图片" in add_folder(open_page(), tmp_path / "x.png").warning[0].value


@posix
@pytest.mark.parametrize("language", TABS)
def test_names_that_are_not_utf_8_are_shown_in_every_tab(tmp_path: Path, language: str) -> None:
    for number, name in enumerate((b"Mu\xf1oz.png", b"Mu\xf2oz.png", b"a\nb\x1b[31m.png", b"gone\xff.png")):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(red(50 * number) if number < 3 else b"no image")
    add_folder(open_page(), tmp_path)
    settle(app := open_page(language))
    rank_button = {"zh": "开始重排序", "en": "Rerank"}[language]
    app = settle(submit(settle(submit(app, "红色", rank_button)), "红", rank_button))
    for tab in TABS[language]:
        app.session_state["tabs"] = tab
        assert not app.run().exception
    shown = [result.name for result in app_state().jobs[-1].status().ranking]
    assert shown == ["a\ufffdb\ufffd[31m.png", "Mu\ufffdoz.png", "Mu\ufffdoz.png", "gone\ufffd.png"]


def test_a_dropped_video_is_not_kept_and_ranks_last_with_its_reason() -> None:
    app = upload(open_page("en"), ("clip.MOV", b"\0\0\0\x14ftypqt  " + bytes(1000)), ("a.png", red(9)))
    assert [image.source for image in app_state().library.images() if image.preview.problem] == [b""]
    reason = app_state().library.images()[1].preview.problem
    settle(submit(app, "red", "Rerank"))
    last = app_state().jobs[-1].status().ranking[-1]
    assert (last.name, last.problem) == ("clip.MOV", reason)
    assert last.problem is not None and last.problem.code != "empty"


def test_files_of_the_system_in_a_dropped_folder_are_passed_over() -> None:
    upload(open_page(), ("a.png", red(1)), ("._a.png", b"x"), ("Thumbs.db", b"y"), ("@eaDir/a.png", red(9)))
    assert [image.name for image in app_state().library.images()] == ["a.png"]


def test_the_samples_are_one_click_away() -> None:
    app = settle(click(open_page(), "用示例图片试试"))
    assert "28 张图片" in " ".join(expander.label for expander in app.expander)
