"""Sentence, pictures, button: where they stand, what never moves, and what starts a ranking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from support.page_steps import expect_done, rank, red, upload

NOTICES = re.compile("^提示：")


def query_box(page: Page) -> Locator:
    return page.get_by_label("想找什么样的图片？")


def start_button(page: Page) -> Locator:
    return page.get_by_role("button", name="开始重排序")


def type_query(page: Page, query: str) -> None:
    """As a person does, key by key."""
    query_box(page).fill("")
    query_box(page).press_sequentially(query)


def bounds(item: Locator) -> dict[str, float]:
    box = item.bounding_box()
    assert box
    return dict(box)


def load_samples(page: Page) -> None:
    page.get_by_role("button", name="用示例图片试试").click()
    expect(page.get_by_text("已放入 28 张图片")).to_be_visible()


def drop(page: Page, files: list[Path]) -> None:
    page.set_input_files("input[type=file]", [str(file) for file in files])


def awkward(folder: Path) -> list[Path]:
    """Two images, a copy of one, and a text that is called an image."""
    files = [*red(folder, 90, 210), folder / "副本.png", folder / "<b>假</b> *x*.jpg".replace("/", "∕")]
    files[2].write_bytes(files[0].read_bytes())
    files[3].write_text("hello", encoding="utf-8")
    return files


@pytest.mark.parametrize("width", [1024, 1280, 1440])
def test_sentence_images_and_button_stand_in_this_order(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    load_samples(page)
    example, uploader = page.get_by_role("button", name="一只猫"), page.get_by_test_id("stFileUploaderDropzone")
    samples, loaded = page.get_by_role("button", name="用示例图片试试"), page.get_by_text("已放入 28 张图片")
    rows = [bounds(item) for item in (query_box(page), example, uploader, samples, start_button(page))]
    assert all(above["y"] + above["height"] <= below["y"] for above, below in zip(rows[:2], rows[1:3], strict=True))
    assert rows[2]["y"] < rows[3]["y"] < rows[3]["y"] + rows[3]["height"] <= rows[4]["y"]
    assert bounds(loaded)["x"] + bounds(loaded)["width"] <= rows[4]["x"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_query_box_and_the_button_never_move(page: Page, tmp_path: Path) -> None:
    def places() -> tuple[dict[str, float], dict[str, float]]:
        return bounds(query_box(page)), bounds(start_button(page))

    expect(page.get_by_text("还没有图片。")).to_be_visible()
    first = places()
    load_samples(page)
    expect(page.get_by_role("button", name="一只猫")).to_be_visible()
    assert places() == first
    drop(page, awkward(tmp_path))
    expect(page.get_by_text(NOTICES)).to_be_visible()
    assert places() == first
    page.get_by_text(NOTICES).click()
    expect(page.get_by_text("假")).to_be_visible()
    assert places() == first
    rank(page, "红色")
    expect(page.locator(".rank").first).to_be_visible()
    assert places() == first
    expect_done(page)
    assert places() == first


def test_leaving_the_box_starts_nothing_and_enter_ranks(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, 90))
    query_box(page).fill("红色")
    page.get_by_label("或本机文件夹").click()
    page.get_by_text("整张图片", exact=True).click()
    expect(page.locator(".st-key-fit input").nth(1)).to_be_checked()
    expect(page.locator(".query")).to_have_count(0)
    query_box(page).press("Enter")
    expect(page.locator(".query")).to_have_text("红色")


def test_one_click_ranks_by_what_was_typed_just_before_also_while_a_ranking_runs(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 130)))
    for query in ("红色", "深红"):
        type_query(page, query)
        start_button(page).click()
        expect(page.locator(".query")).to_have_text(query)
        expect(page.locator(".rank").first).to_be_visible()


def test_what_is_typed_stays_while_images_are_added(page: Page, tmp_path: Path) -> None:
    type_query(page, "红色")
    upload(page, red(tmp_path, 90))
    expect(query_box(page)).to_have_value("红色")
    expect(page.locator(".query")).to_have_count(0)


def test_an_example_replaces_what_is_typed_and_ranks(page: Page) -> None:
    load_samples(page)
    query_box(page).fill("别的")
    page.get_by_role("button", name="红色玫瑰").click()
    expect(page.locator(".query")).to_have_text("红色玫瑰")
    expect(query_box(page)).to_have_value("红色玫瑰")
    expect_done(page)
    page.get_by_role("button", name="全部清除").click()
    expect(page.get_by_role("button", name="红色玫瑰")).to_have_count(0)


def test_notices_are_one_closed_line_that_opens_and_names_files_as_text(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, 50))
    expect(page.get_by_text(NOTICES)).to_have_count(0)
    drop(page, awkward(tmp_path))
    expect(page.get_by_text(NOTICES)).to_have_text("提示：1 张无法读取、1 张重复")
    name = page.get_by_text("<b>假<∕b> *x*.jpg（不是可识别的图片格式）")
    expect(name).to_be_hidden()
    page.get_by_text(NOTICES).click()
    expect(name).to_be_visible()
    expect(page.get_by_text("只保留一份")).to_be_visible()
    another = tmp_path / "又一张.jpg"
    another.write_text("again", encoding="utf-8")
    drop(page, [another])
    expect(page.get_by_text(NOTICES)).to_have_text("提示：2 张无法读取、1 张重复")
    expect(page.get_by_text("又一张.jpg（不是可识别的图片格式）")).to_be_visible()  # it stays open
