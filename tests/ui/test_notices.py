"""What there is to know about the files that were added, in one line that opens."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Expander

from lychee_rerank.images.files import SPECIAL, FolderListing
from lychee_rerank.ui.i18n import Language
from lychee_rerank.ui.notices import left_out
from support.app_test import add_folder, app_state, click, open_page, red, restart, settle, upload


def line(app: AppTest) -> Expander | None:
    return next((box for box in app.expander if box.label.startswith("提示：")), None)


def title(app: AppTest) -> str:
    """ "" where there is no line."""
    found = line(app)
    return found.label if found else ""


def texts(app: AppTest) -> str:
    """What the line holds, as it looks when it is open."""
    found = line(app)
    return " ".join(caption.value for caption in found.caption).replace("\\", "") if found else ""


def test_where_all_is_well_there_is_no_line() -> None:
    assert title(upload(open_page(), ("a.png", red(9)))) == ""


def test_the_line_is_closed_and_counts_what_it_holds() -> None:
    files = (("a.png", red(9)), ("b.png", red(9)), ("c.jpg", b"text"), ("d.jpg", b"more text"))
    app = upload(open_page(), *files)
    assert title(app) == "提示：2 张无法读取、1 张重复"
    assert not line(app).proto.expanded
    assert not app.warning


def test_duplicate_contents_are_kept_once_and_named() -> None:
    app = upload(open_page(), ("a.png", red(9)), ("b.png", red(9)))
    assert "有 1 张内容重复，只保留一份：" in texts(app)
    assert any("已放入 1 张图片" in expander.label for expander in app.expander)


def test_an_unreadable_file_is_named_with_its_reason() -> None:
    assert "c.jpg（不是可识别的图片格式）" in texts(upload(open_page(), ("c.jpg", b"text")))


def test_of_many_unreadable_files_five_are_named() -> None:
    text = texts(upload(open_page(), *((f"{number}.jpg", bytes([number])) for number in range(1, 8))))
    assert "有 7 张无法读取" in text
    assert [f"{number}.jpg" in text for number in range(1, 8)] == [True] * 5 + [False] * 2
    assert "……" in text


def test_file_names_are_no_markdown() -> None:
    app = upload(open_page(), ("*a* :smile: $x$.jpg", b"text"))
    assert r"\*a\* \:smile\: \$x\$\.jpg" in " ".join(caption.value for caption in app.caption)


def test_what_is_left_out_of_a_folder_is_said_until_all_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(red(100))
    for name in ("a.jxl", "b.jxl", "c.jxl", "d.svg", "README"):
        (tmp_path / name).touch()
    app = settle(add_folder(open_page(), tmp_path))
    app = settle(add_folder(app, tmp_path))  # once more: still the same files
    assert title(app).startswith("提示：5 个文件没有放入")
    assert "另有 5 个文件没有放入：3 个 .jxl、1 个" in texts(app)
    assert title(click(app, "全部清除")) == ""


def test_folders_that_cannot_be_opened_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "x.png").write_bytes(red(100))
    os_scandir = os.scandir

    def scandir(folder: str | Path) -> object:
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return os_scandir(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    app = settle(add_folder(open_page(), tmp_path))
    assert title(app) == "提示：1 个文件夹无法打开"
    assert f"有 1 个文件夹无法打开：{tmp_path / 'closed'}" in texts(app)


def test_what_is_left_out_of_folders_is_added_up_and_named(speak: Callable[[Language], None]) -> None:
    speak("en")
    first = FolderListing(Path("a"), (), Counter({".jxl": 2, "": 1}), ())
    second = FolderListing(Path("b"), (), Counter({".jxl": 1, SPECIAL: 2, ".\udcf1": 1}), (Path("b/c\udcf1"),))
    assert [notice.text for notice in left_out([first, second])] == [
        "7 left out: 3 .jxl, 2 special, 1 without suffix, 1 .\ufffd",
        "Folders that cannot be opened (1): b/c\ufffd",
    ]
    assert not list(left_out([]))


def test_dropped_pictures_beyond_the_budget_are_counted() -> None:
    app = open_page()
    app_state().archive.dropped._budget = len(red(200))
    app = upload(app, ("a.png", red(200)), ("b.png", red(10)))
    assert title(app) == "提示：1 张没有存到本机"
    assert "有 1 张拖入的图片没有存到本机（已存满 1.0 GiB）" in texts(app)
    restart()
    assert title(open_page()) == ""
    assert len(app_state().library.images()) == 1


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    app = upload(open_page(), ("a.png", red(200)))
    assert "有 1 张拖入的图片没有存到本机（原因：No space left on device）" in texts(app)
