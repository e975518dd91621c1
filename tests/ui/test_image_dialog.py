"""The large view: what it tells of an image, and that it steps through what the grid shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational
from streamlit.testing.v1 import AppTest

from lychee_rerank.rankings.dropped import DroppedFiles
from support.app_test import app_state, html, open_page, rank, red, restart, settle, upload
from support.images import encode


def photo(amount: int) -> bytes:
    """A JPEG that says when, with what and where it was taken."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = "Canon", "Canon <b>R5</b>"
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2024:05:06 07:08:09", Base.FNumber: IFDRational(8)}
    exif[IFD.GPSInfo] = {1: "N", 2: degrees(31, 30), 3: "E", 4: degrees(121, 15)}
    return encode(Image.new("RGB", (60, 40), (amount, 0, 0)), "JPEG", exif=exif.tobytes())


def degrees(degrees: int, minutes: int) -> tuple[IFDRational, ...]:
    return IFDRational(degrees), IFDRational(minutes), IFDRational(0)


@pytest.fixture
def app() -> AppTest:
    """A photo, a PNG, and a file without an image, ranked in this order."""
    files = ("photo.jpg", photo(250)), ("plain.png", red(100)), ("text.jpg", b"not an image")
    return rank(upload(open_page(), *files), "红色，海边")


def enlarge(app: AppTest, name: str) -> AppTest:
    key = next(image.key for image in app_state().job.images if image.name == name)
    return app.button(key=f"large-{key}").click().run()


def step(app: AppTest, direction: str) -> AppTest:
    return app.button(key=f"view-{direction}").click().run()


def view(app: AppTest) -> str:
    """The HTML beside the large image; "" where it is not open."""
    assert not app.exception
    return html(app).partition('<div class="position">')[2].partition("[data-testid='stDialog']")[0]


def test_it_shows_all_that_is_known_of_the_image_except_its_place(app: AppTest) -> None:
    shown = view(enlarge(app, "photo.jpg"))
    assert shown.startswith("1 / 3<")
    assert '<div class="rank good">Rank 1 | Score: 9.8</div>' in shown
    assert "得分：<mark>9.8</mark>分。 理由：&lt;b&gt;红&lt;/b&gt;\n第二行" in shown
    assert '<dt title="海边">海边</dt>' in shown
    for label, text in (
        ("大小", "60 × 40 像素"),
        ("拍摄时间", "2024-05-06 07:08:09"),
        ("相机", "Canon &lt;b&gt;R5&lt;/b&gt;"),
        ("曝光", "f/8"),
        ("文件", "拖入的图片，副本在 /"),
    ):
        assert f"<dt>{label}</dt><dd>{text}" in shown
    assert "镜头" not in shown
    assert "31.5" not in shown


def test_the_place_is_told_of_the_image_for_which_it_was_asked(app: AppTest) -> None:
    app = enlarge(app, "photo.jpg")
    (switch,) = [toggle for toggle in app.toggle if str(toggle.key).startswith("place-")]
    assert "31.50000, 121.25000" in [text.value for text in switch.set_value(True).run().text]
    app = step(app, "next")
    assert "31.50000, 121.25000" not in [text.value for text in app.text]
    assert not any(str(toggle.key).startswith("place-") for toggle in app.toggle)


def test_it_steps_through_the_images_that_the_grid_shows() -> None:
    files = ((f"{amount}.png", red(amount)) for amount in (250, 200, 150, 100, 50))
    app = rank(upload(open_page(), *files), "红色")
    app.slider(key="filter-score").set_value(5.0).run()
    app = enlarge(app, "200.png")
    assert view(app).startswith("2 / 3<")
    app = step(app, "next")
    assert "Rank 3 | Score: 5.9" in view(app)
    app = step(app, "next")
    assert "Rank 1 | Score: 9.8" in view(app)
    assert view(step(app, "previous")).startswith("3 / 3<")


def test_an_image_without_a_score_says_why(app: AppTest) -> None:
    shown = view(step(enlarge(app, "plain.png"), "next"))
    assert "Rank 3 | Score: –" in shown
    assert "不是可识别的图片格式" in shown
    assert '<div class="no-image">' in html(app)


def test_a_mark_is_set_without_leaving(app: AppTest) -> None:
    app = enlarge(app, "photo.jpg")
    key = app_state().job.images[0].key
    assert 'class="mark-kept"' in view(app.button(key=f"kept-large-{key}").click().run())
    assert app_state().marks.get(key) == "kept"


def change(file: Path) -> None:
    file.write_bytes(red(201))


@pytest.mark.parametrize("spoil", [Path.unlink, change])
def test_the_thumbnail_of_a_file_that_is_gone_or_changed_stands_in_and_says_so(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(200))
    open_page()
    app_state().library.add([("a.jpg", tmp_path / "a.jpg")])
    app = enlarge(rank(settle(open_page()), "红色"), "a.jpg")
    assert f"<dt>文件</dt><dd>{tmp_path / 'a.jpg'}</dd>" in view(app)
    assert "缩略图" not in view(app)
    spoil(tmp_path / "a.jpg")
    shown = view(app.run())
    assert "原图已不在或已改动，这里是排序时的缩略图。" in shown
    assert "2024" not in shown


def test_a_picture_that_could_not_be_kept_is_only_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DroppedFiles, "keep", lambda *_: False)
    app = enlarge(rank(upload(open_page(), ("a.png", red(200))), "红色"), "a.png")
    assert "拖入的图片，只在内存里" in view(app)


def test_a_ranking_of_an_earlier_sitting_is_shown_alike(app: AppTest) -> None:
    before = view(enlarge(app, "photo.jpg"))
    restart()
    assert view(enlarge(settle(open_page()), "photo.jpg")) == before


def test_another_ranking_closes_it(app: AppTest) -> None:
    app = enlarge(app, "photo.jpg")
    assert view(app.run())
    assert not view(rank(app, "蓝色"))
