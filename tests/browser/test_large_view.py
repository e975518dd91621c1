"""The large view in a real browser: keys, what moves and what does not, and what survives the end of a ranking."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from support.images import encode
from support.page_steps import expect_done, rank, red, upload


def photos(folder: Path) -> list[Path]:
    """Wide, high and small, reddest first; the first was taken in a place."""
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (31, 30, 0), 3: "E", 4: (121, 15, 0)}
    files = []
    for number, size in enumerate(((1500, 300), (300, 1500), (90, 60))):
        image = Image.new("RGB", size, (250 - 50 * number, 0, 0))
        files.append(folder / f"照片{number}.jpg")
        files[-1].write_bytes(encode(image, "JPEG", exif=exif.tobytes() if number == 0 else b""))
    return files


@pytest.fixture
def ranked(page: Page, tmp_path: Path) -> Page:
    """The photos, ranked."""
    upload(page, photos(tmp_path))
    rank(page, "红色")
    expect_done(page)
    return page


def enlarge(page: Page, position: int = 0) -> Locator:
    page.get_by_role("button", name="查看大图").nth(position).click()
    return page.get_by_role("dialog")


def expect_image(view: Locator, position: str, name: str) -> None:
    expect(view.locator(".position")).to_have_text(position)
    expect(view.get_by_role("img", name=name)).to_be_visible()
    expect(view.locator(".large-name")).to_have_text(name)


def boxes(view: Locator) -> list[object]:
    parts = (".st-key-view-picture", ".st-key-view-previous", ".st-key-view-next", ".rank")
    return [view.locator(part).bounding_box() for part in parts]


def test_arrow_keys_step_and_escape_closes(ranked: Page) -> None:
    view = enlarge(ranked, 1)
    expect_image(view, "2 / 3", "照片1.jpg")
    ranked.keyboard.press("ArrowLeft")
    expect_image(view, "1 / 3", "照片0.jpg")
    ranked.keyboard.press("ArrowLeft")
    expect_image(view, "3 / 3", "照片2.jpg")
    ranked.keyboard.press("ArrowRight")
    expect_image(view, "1 / 3", "照片0.jpg")
    view.get_by_role("button", name="上一张").click()
    expect_image(view, "3 / 3", "照片2.jpg")
    expect(view.locator(".rank")).to_have_text("Rank 3 | Score: 5.9")
    ranked.keyboard.press("Escape")
    expect(view).to_have_count(0)
    expect_image(enlarge(ranked, 0), "1 / 3", "照片0.jpg")


def test_marks_set_by_key_are_on_the_card_after_closing(ranked: Page) -> None:
    view = enlarge(ranked, 1)
    expect_image(view, "2 / 3", "照片1.jpg")
    ranked.keyboard.press("k")
    expect(view.locator(".mark-kept")).to_have_count(1)
    expect_image(view, "2 / 3", "照片1.jpg")
    ranked.keyboard.press("Escape")
    expect(view).to_have_count(0)
    expect(ranked.locator('[class*="st-key-card-"]', has_text="照片1.jpg").locator(".mark-kept")).to_have_count(1)


def test_the_place_is_shown_after_a_click(ranked: Page) -> None:
    view = enlarge(ranked)
    expect_image(view, "1 / 3", "照片0.jpg")
    expect(view.get_by_text("31.5")).to_have_count(0)
    view.get_by_text("显示拍摄地点").click()
    expect(view.get_by_text("31.50000, 121.25000")).to_be_visible()
    ranked.keyboard.press("Escape")
    expect(view).to_have_count(0)


def test_it_stays_open_at_its_image_while_a_ranking_ends(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 130)))
    rank(page, "红色")
    view = enlarge(page)
    name = view.locator(".large-name")
    opened, position = name.inner_text(), view.locator(".position").inner_text()
    expect(view.get_by_text("理由还没有写完")).to_be_visible()
    expect_done(page)
    expect(view.locator(".answer")).to_contain_text("第二行")
    expect_image(view, position, opened)
    page.keyboard.press("ArrowRight")
    expect(name).not_to_have_text(opened)


@pytest.mark.parametrize("width", [700, 1280, 1440])
def test_stepping_moves_nothing_and_the_view_fits(ranked: Page, width: int) -> None:
    ranked.set_viewport_size({"width": width, "height": 900})
    view = enlarge(ranked)
    expect_image(view, "1 / 3", "照片0.jpg")
    first = boxes(view)
    for position, name in (("2 / 3", "照片1.jpg"), ("3 / 3", "照片2.jpg")):
        ranked.keyboard.press("ArrowRight")
        expect_image(view, position, name)
        assert boxes(view) == first
    picture, image = view.locator(".st-key-view-picture").bounding_box(), view.locator("img").bounding_box()
    assert picture and image
    assert image["height"] <= picture["height"] <= 0.85 * 900
    assert (picture["width"] > 0.6 * width) or width > 1000
    assert view.evaluate("view => view.scrollWidth <= view.clientWidth")
