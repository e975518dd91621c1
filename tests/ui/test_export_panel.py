"""The downloads of a ranking; their contents are tested in rankings/ and, as files, in the browser."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from support.app_test import click, open_page, rank, red, settle, upload


def labels(app: AppTest) -> list[str]:
    return [button.proto.label for button in app.get("download_button")]


def test_a_ranking_can_be_saved_as_csv_json_and_zip() -> None:
    files = ((f"{amount}.png", red(amount)) for amount in range(50, 62))
    app = rank(upload(open_page(tabs="导出"), *files), "红色")
    assert labels(app) == ["下载表格", "下载数据", "下载前 10 名的图片"]
    app.number_input(key="zip-count").set_value(3).run()
    assert labels(app)[2] == "下载前 3 名的图片"


def test_no_more_images_can_be_packed_than_have_scores() -> None:
    app = rank(upload(open_page(tabs="导出"), ("a.png", red(50)), ("b.png", b"not an image")), "红色")
    assert labels(app)[2] == "下载前 1 名的图片"


def test_without_scores_there_is_nothing_to_save() -> None:
    app = rank(upload(open_page(tabs="导出"), ("a.png", b"not an image")), "红色")
    assert labels(app) == []
    assert "还没有分数。" in [caption.value for caption in app.caption]


def test_images_that_are_no_longer_there_are_named_before_they_are_packed(tmp_path: Path) -> None:
    for amount in (50, 60):
        (tmp_path / f"{amount}.png").write_bytes(red(amount))
    app = open_page(tabs="导出")
    app.text_input(key="folder").set_value(str(tmp_path))
    app = rank(settle(click(app, "添加")), "红色")
    assert not app.warning
    (tmp_path / "50.png").unlink()
    assert [warning.value.replace("\\", "") for warning in app.run().warning] == [
        "其中 1 张原图已无法读取，不会打包：50.png。ZIP 里的 MISSING.txt 会列出它们。"
    ]
