"""The downloads of a ranking; their contents are tested in rankings/ and, as files, in the browser."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

from streamlit.testing.v1 import AppTest

from lychee_rerank.ui import export_panel
from support.app_test import add_folder, app_state, open_page, rank, red, settle, upload


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
    app = rank(settle(add_folder(open_page(tabs="导出"), tmp_path)), "红色")
    assert not app.warning
    (tmp_path / "50.png").unlink()
    assert [warning.value.replace("\\", "") for warning in app.run().warning] == [
        "其中 1 张原图已无法读取，不会打包：50.png。ZIP 里的 MISSING.txt 会列出它们。"
    ]


def test_the_kept_images_can_be_packed_instead_of_the_best() -> None:
    app = rank(upload(open_page(tabs="导出"), *((f"{amount}.png", red(amount)) for amount in (50, 60, 70))), "红色")
    app.radio(key="zip-choice").set_value("kept").run()
    assert [button.proto.disabled for button in app.get("download_button")] == [False, False, True]
    for image in app_state().library.images()[:2]:
        app_state().marks.set(image.key, "kept")
    assert labels(app.run())[2] == "下载留下的 2 张图片"
    assert not app.get("download_button")[2].proto.disabled


def test_only_kept_images_are_named_where_the_kept_ones_are_packed(tmp_path: Path) -> None:
    for amount in (50, 60):
        (tmp_path / f"{amount}.png").write_bytes(red(amount))
    app = rank(settle(add_folder(open_page(tabs="导出"), tmp_path)), "红色")
    app_state().marks.set(app_state().library.images()[0].key, "kept")
    app.radio(key="zip-choice").set_value("kept").run()
    (tmp_path / "60.png").unlink()
    assert not app.run().warning
    (tmp_path / "50.png").unlink()
    assert "其中 1 张原图已无法读取，不会打包：50.png。" in app.run().warning[0].value.replace("\\", "")


def test_the_files_hold_what_is_asked_for_when_the_button_is_pressed() -> None:
    rank(upload(open_page(), *((f"{amount}.png", red(amount)) for amount in (50, 60, 70))), "红色")
    first, second, _ = app_state().library.images()
    marks, job = app_state().marks, app_state().job
    assert job
    marks.set(first.key, "kept")
    marks.set(second.key, "rejected")
    rows = list(csv.DictReader(io.StringIO(export_panel._csv(marks, job).decode("utf-8-sig"))))
    assert [(row["name"], row["mark"]) for row in rows] == [
        ("70.png", ""),
        ("60.png", "rejected"),
        ("50.png", "kept"),
    ]
    assert [entry["mark"] for entry in json.loads(export_panel._json(marks, job))["results"]] == [
        None,
        "rejected",
        "kept",
    ]
    packed = export_panel._zip(job, export_panel._selected(marks, job, None))
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["003_2.0_50.png"]
