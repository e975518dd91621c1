"""What a person does on a Chinese page in a browser."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from support.images import encode


def open_empty(page: Page, loaded: str = "已放入", empty: str = "还没有图片", clear: str = "全部清除") -> None:
    """Open the page and take out what an earlier test left there."""
    page.goto("/")
    expect(page.get_by_text(loaded).or_(page.get_by_text(empty))).to_be_visible()
    if page.get_by_text(loaded).is_visible():  # else nothing on the page would tell when a click has been served
        page.get_by_role("button", name=clear).click()
        expect(page.get_by_text(empty)).to_be_visible()


def red(folder: Path, *amounts: int) -> list[Path]:
    files = [folder / f"红{amount}.png" for amount in amounts]
    for file, amount in zip(files, amounts, strict=True):
        file.write_bytes(encode(Image.new("RGB", (400, 300), (amount, 0, 0))))
    return files


def upload(page: Page, files: list[Path]) -> None:
    page.set_input_files("input[type=file]", [str(file) for file in files])
    expect(page.get_by_text(f"已放入 {len(files)} 张图片")).to_be_visible()


def rank(page: Page, query: str) -> None:
    box = page.get_by_label("想找什么样的图片？")
    box.fill(query)
    box.press("Enter")


def expect_done(page: Page) -> None:
    expect(page.get_by_text(re.compile("^完成："))).to_be_visible(timeout=40_000)
