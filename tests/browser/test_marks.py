"""Keeping and rejecting pictures by mouse and by keys, in a real browser over FakeReranker."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from support.page_steps import expect_done, rank, red, upload


@pytest.fixture
def page(page: Page, tmp_path: Path) -> Page:
    """Five ranked pictures, 红50.png to 红250.png."""
    page.set_viewport_size({"width": 1280, "height": 1400})
    upload(page, red(tmp_path, 50, 100, 150, 200, 250))
    rank(page, "红色")
    expect_done(page)
    return page


def card(page: Page, name: str) -> Locator:
    return page.locator('[class*="st-key-card-"]', has_text=name)


def expect_mark(owner: Locator, label: str) -> None:
    expect(owner.get_by_role("button", name=label)).to_be_visible()


def test_a_click_keeps_or_rejects_and_rejected_images_fade(page: Page) -> None:
    card(page, "红250.png").get_by_role("button", name="留").click()
    expect_mark(card(page, "红250.png"), "已留")
    card(page, "红50.png").get_by_role("button", name="弃").click()
    expect_mark(card(page, "红50.png"), "已弃")
    expect(page.get_by_text("已留 1 张")).to_be_visible()
    expect(card(page, "红50.png").locator("img")).to_have_css("opacity", "0.4")
    expect(card(page, "红250.png").locator("img")).to_have_css("opacity", "1")
    page.reload()
    expect_mark(card(page, "红250.png"), "已留")
    expect_mark(card(page, "红50.png"), "已弃")


def test_keys_mark_the_card_under_the_pointer(page: Page) -> None:
    first, second = card(page, "红250.png"), card(page, "红200.png")
    first.hover()
    page.keyboard.press("k")
    expect_mark(first, "已留")
    second.hover()
    page.keyboard.press("X")
    expect_mark(second, "已弃")
    first.get_by_role("button", name="弃").click()  # its button has the focus now, the pointer goes on
    expect_mark(first, "已弃")
    second.hover()
    page.keyboard.press("k")
    expect_mark(second, "已留")
    expect_mark(first, "已弃")


def test_keys_mark_the_card_that_tab_has_reached(page: Page) -> None:
    card(page, "红250.png").hover()
    focused = card(page, "红150.png")
    focused.get_by_role("button", name="留").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("k")
    expect_mark(focused, "已留")
    page.keyboard.press("Enter")  # on the toggle that has the focus
    expect_mark(focused, "已弃")
    expect(focused.get_by_role("button", name="已弃")).to_be_focused()
    expect(page.get_by_role("button", name="已留")).to_have_count(0)


def test_keys_mark_nothing_while_a_person_types(page: Page) -> None:
    box = page.get_by_label("按文件名查找")
    box.focus()
    card(page, "红250.png").hover()
    page.keyboard.type("kx")
    expect(box).to_have_value("kx")
    page.keyboard.press("Enter")
    expect(page.get_by_text("没有符合条件的图片。")).to_be_visible()
    box.fill("")
    page.keyboard.press("Enter")
    expect(page.locator(".name")).to_have_count(5)
    expect(page.get_by_text("已留 0 张")).to_be_visible()
    expect(page.get_by_role("button", name="已弃")).to_have_count(0)


def test_keys_mark_the_image_of_the_large_view(page: Page) -> None:
    card(page, "红250.png").get_by_role("button", name="查看大图").click()
    dialog = page.get_by_role("dialog")
    expect_mark(dialog, "留")
    page.keyboard.press("k")
    expect_mark(dialog, "已留")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("红200.png").first).to_be_visible()
    expect(dialog.get_by_role("button", name="已留")).to_have_count(0)
    page.keyboard.press("x")
    expect_mark(dialog, "已弃")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect_mark(card(page, "红250.png"), "已留")
    expect_mark(card(page, "红200.png"), "已弃")


def test_the_kept_images_are_found_and_saved(page: Page, tmp_path: Path) -> None:
    for name in ("红250.png", "红100.png"):
        card(page, name).get_by_role("button", name="留").click()
        expect_mark(card(page, name), "已留")
    page.get_by_role("combobox", name="标记").click()
    page.get_by_role("option", name="留下的").click()
    expect(page.locator(".name")).to_have_text(["红250.png", "红100.png"])
    page.get_by_role("tab", name="导出").click()
    page.get_by_text("留下的", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载留下的 2 张图片").click()
    download.value.save_as(tmp_path / "kept.zip")
    with zipfile.ZipFile(tmp_path / "kept.zip") as archive:
        assert archive.namelist() == ["001_9.8_红250.png", "004_3.9_红100.png"]
