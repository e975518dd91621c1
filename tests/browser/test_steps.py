"""What a person does on the page, in a real browser over FakeReranker."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from support.images import encode
from support.page_steps import expect_done, open_empty, rank, red, upload

HOSTILE = ("<b>*bold*</b> :smile: $x$.png", "猫🐱.png", "\u202egnp.exe.png", "x" * 180 + ".png")


def test_uploaded_images_are_ranked_and_the_answer_unfolds(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, 50, 250, 120))
    rank(page, "红色")
    expect_done(page)
    expect(page.locator(".rank")).to_have_text(["Rank 1 | Score: 9.8", "Rank 2 | Score: 4.7", "Rank 3 | Score: 2.0"])
    expect(page.locator(".name")).to_have_text(["红250.png", "红120.png", "红50.png"])
    page.get_by_text("模型输出").first.click()
    expect(page.locator(".answer mark").first).to_have_text("9.8")
    expect(page.get_by_text("主模式匹配成功").first).to_be_visible()
    expect(page.get_by_text("提取所用的模式：开头的得分").first).to_be_visible()


def test_stop_keeps_the_scores_so_far(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 160)))
    rank(page, "红色")
    expect(page.locator(".rank").first).to_be_visible()
    page.get_by_role("button", name="停止").click()
    expect(page.get_by_text(re.compile(r"已停止：\d+ / 60 张有结果"))).to_be_visible()
    assert 0 < page.locator(".rank").count() < 60


def test_an_answer_stays_open_while_the_grid_reorders(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, *range(100, 120)))
    rank(page, "红色")
    first = page.locator('[class*="st-key-card-"]', has_text="红100.png")
    first.get_by_text("模型输出").click()
    expect(first.locator(".answer")).to_be_visible()
    expect_done(page)
    expect(page.locator(".name").first).to_have_text("红119.png")
    expect(page.locator(".name").last).to_have_text("红100.png")
    expect(first.locator(".answer")).to_be_visible()
    expect(page.locator(".answer:visible")).to_have_count(1)


def test_a_click_on_an_image_enlarges_it(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, 77))
    rank(page, "红色")
    expect_done(page)
    page.get_by_role("button", name="查看大图").click()
    expect(page.get_by_role("dialog").get_by_text("400 × 300 像素")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("img", name="红77.png")).to_be_visible()


def test_an_older_ranking_is_one_click_away_and_can_be_compared(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 1000})  # scrolling to a list that opens would shut it
    upload(page, red(tmp_path, 66, 99))
    for query in ("红色", "无分"):
        rank(page, query)
        expect_done(page)
        expect(page.locator(".query")).to_have_text(query)
    page.get_by_role("tab", name="记录与对照").click()
    page.get_by_role("combobox", name="与另一次排序对照").click()
    page.get_by_role("option", name="红色").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    page.get_by_role("button", name="查看", exact=True).click()
    expect(page.get_by_text(re.compile("^正在回看：.*红色"))).to_be_visible()
    expect(page.locator(".rank").first).to_have_text("Rank 1 | Score: 3.9")
    page.get_by_role("button", name="回到最新").click()
    expect(page.locator(".rank").first).to_have_text("Rank 1 | Score: 0.0")


def test_a_reload_and_a_second_tab_find_the_running_ranking(
    context: BrowserContext, page: Page, tmp_path: Path
) -> None:
    upload(page, red(tmp_path, *range(100, 130)))
    rank(page, "红色")
    expect(page.locator(".rank").first).to_be_visible()
    page.reload()
    second = context.new_page()
    second.goto("/")
    for tab in (page, second):
        expect_done(tab)
        expect(tab.locator(".rank").first).to_have_text("Rank 1 | Score: 5.1")


def test_hostile_names_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    files = [tmp_path / name.replace("/", "∕") for name in HOSTILE]
    for index, file in enumerate(files):
        file.write_bytes(encode(Image.new("RGB", (80, 60), (40 + 50 * index, 0, 0))))
    upload(page, files)
    rank(page, "红色")
    expect_done(page)
    assert sorted(page.locator(".name").all_inner_texts()) == sorted(file.name for file in files)
    assert page.locator(".name b").count() == 0


def test_a_text_file_named_like_an_image_ranks_last_with_a_warning(page: Page, tmp_path: Path) -> None:
    fake = tmp_path / "假.jpg"
    fake.write_text("hello", encoding="utf-8")
    upload(page, [fake, *red(tmp_path, 200)])
    rank(page, "红色")
    expect_done(page)
    expect(page.locator(".name").last).to_have_text("假.jpg")
    expect(page.get_by_text("预处理警告")).to_be_visible()


def test_csv_json_and_zip_downloads_can_be_opened(page: Page, tmp_path: Path) -> None:
    upload(page, red(tmp_path, 90, 210))
    rank(page, "红色")
    expect_done(page)
    page.get_by_role("tab", name="导出").click()
    for name, file in (("下载表格", "r.csv"), ("下载数据", "r.json"), ("下载前 2 名的图片", "r.zip")):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        download.value.save_as(tmp_path / file)
    assert "红210.png" in (tmp_path / "r.csv").read_text(encoding="utf-8-sig")
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (data["query"], data["model"], data["results"][0]["name"]) == ("红色", "fake", "红210.png")
    with zipfile.ZipFile(tmp_path / "r.zip") as archive:
        assert archive.namelist() == ["001_8.2_红210.png", "002_3.5_红90.png"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_columns_fit_in_both_themes(browser: Browser, url: str, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(locale="en-GB", base_url=url, color_scheme=scheme)
    page = context.new_page()
    open_empty(page, "loaded, ", "No pictures yet", "Clear all")
    page.set_input_files("input[type=file]", [str(file) for file in red(tmp_path, 90, 210, 30)])
    expect(page.get_by_text("3 loaded")).to_be_visible()
    page.get_by_label("What should the pictures show?").fill("red")
    page.get_by_label("What should the pictures show?").press("Enter")
    expect(page.get_by_text(re.compile("^Done: "))).to_be_visible(timeout=40_000)
    expect(page.locator('[class*="st-key-card-"] img')).to_have_count(3)
    for width in (1024, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            """([width, least]) => document.documentElement.scrollWidth <= width &&
            [...document.querySelectorAll('[class*="st-key-card-"] [data-testid="stImage"] img')]
            .map(image => image.getBoundingClientRect().width).every(shown => least <= shown && shown <= 306)""",
            arg=[width, 299 if width >= 1440 else 1],
        )
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    context.close()


def test_the_settings_stay_when_the_language_is_changed(page: Page) -> None:
    page.get_by_text("整张图片", exact=True).click()
    expect(page.locator(".st-key-fit input").nth(1)).to_be_checked()
    page.get_by_role("radio", name="English").or_(page.get_by_role("button", name="English")).first.click()
    expect(page.get_by_text("Whole picture", exact=True)).to_be_visible()
    expect(page.locator(".st-key-fit input").nth(1)).to_be_checked()
    expect(page.locator(".st-key-method input").first).to_be_checked()
