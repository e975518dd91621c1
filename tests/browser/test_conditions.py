"""The conditions of a query in a browser: bars, table, chart and progress."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from support.images import encode
from support.page_steps import expect_done, rank, red, upload

QUERY = "红色，蓝色"


def card(page: Page, name: str) -> Locator:
    return page.locator('[class*="st-key-card-"]', has=page.get_by_text(name, exact=True))


def test_bars_appear_in_an_open_answer_and_the_progress_counts_them(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 106)))
    rank(page, QUERY)
    card(page, "红105.png").get_by_text("模型输出").click()
    expect(page.get_by_text(re.compile(r"^排序已完成，正在逐个条件打分：\d+ / 12$"))).to_be_visible()
    expect(card(page, "红105.png").locator(".conditions dt")).to_have_text(["红色", "蓝色"])
    expect_done(page)
    expect(card(page, "红105.png").locator(".conditions .weakest").first).to_have_text("蓝色")
    assert page.evaluate(
        "[...document.querySelectorAll('.conditions')].every(bars => bars.scrollWidth <= bars.clientWidth)"
    )


def test_stop_keeps_the_ranking_while_conditions_are_scored(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 112)))
    rank(page, QUERY)
    expect(page.get_by_text(re.compile("正在逐个条件打分"))).to_be_visible()
    page.get_by_role("button", name="停止").click()
    expect_done(page)
    expect(page.get_by_text("完成：12 张")).to_be_visible()
    expect(page.locator(".rank")).to_have_count(12)


def test_the_conditions_of_one_more_image_come_without_folding_its_answer(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 113)))
    rank(page, QUERY)
    expect_done(page)
    last = card(page, "红100.png")
    last.get_by_text("模型输出").click()
    last.get_by_role("button", name="逐个条件打分").click()
    expect(last.locator(".conditions dt")).to_have_text(["红色", "蓝色"])
    expect(last.locator(".answer")).to_be_visible()
    expect(last.get_by_role("button", name="逐个条件打分")).to_have_count(0)
    expect_done(page)


def test_the_table_is_sorted_by_the_number_of_a_column(page: Page, tmp_path: Path) -> None:
    for name, amount in (("a", 255), ("b", 51), ("c", 153)):  # for 蓝色 10.0, 2.0, 6.0
        (tmp_path / f"{name}.png").write_bytes(encode(Image.new("RGB", (60, 40), (amount // 2, 0, amount))))
    upload(page, sorted(tmp_path.glob("*.png")))
    rank(page, QUERY)
    expect_done(page)
    page.get_by_role("tab", name="条件").click()
    table = page.get_by_test_id("stDataFrame")
    expect(table.locator("tbody tr")).to_have_count(3)
    box = table.bounding_box()
    assert box
    for order in (["2", "6", "10"], ["10", "6", "2"]):
        table.click(position={"x": box["width"] - 60, "y": 15})
        expect(table.locator("tbody td:last-child")).to_have_text(order)


def test_the_table_grows_by_the_next_images_and_the_chart_shows_conditions(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 114)))
    rank(page, QUERY)
    expect_done(page)
    page.get_by_role("tab", name="条件").click()
    cells = page.get_by_test_id("stDataFrame").locator("tbody tr")
    expect(cells).to_have_count(12)
    page.get_by_role("button", name="再给 2 张打分").click()
    expect(cells).to_have_count(14)
    expect_done(page)
    expect(page.get_by_role("button", name="再给 2 张打分")).to_have_count(0)
    page.get_by_role("tab", name="分数图").click()
    page.get_by_text("各条件", exact=True).click()
    expect(page.get_by_text("指向柱子可查看文件名和条件。")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible()
