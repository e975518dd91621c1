"""Three days at work, from upload to export, over the real page and the real demo checkpoint."""

from __future__ import annotations

import csv
import io
import random
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from pillow_heif import register_heif_opener
from playwright.sync_api import Browser, Page, expect

from support.images import encoded, patchwork
from support.page_server import ROOT, serving


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(ROOT / "app.py", LYCHEE_MODEL="demo") as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", base_url=address, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto("/")
    page.get_by_role("button", name="全部清除").click()
    expect(page.get_by_text("已放入")).to_have_count(0)
    yield page
    context.close()


def ranked(page: Page, files: dict[str, bytes], query: str, folder: Path) -> list[dict[str, str]]:
    """Upload, rank, and the table that is taken away."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    page.set_input_files("input[type=file]", [str(folder / name) for name in files])
    expect(page.get_by_text(f"已放入 {len(files)} 张图片")).to_be_visible(timeout=60_000)
    page.get_by_label("想找什么样的图片？").fill(query)
    page.get_by_label("想找什么样的图片？").press("Enter")
    expect(page.get_by_text(re.compile(f"^完成：{len(files)} 张"))).to_be_visible(timeout=120_000)
    page.get_by_role("tab", name="导出").click()
    with page.expect_download() as table:
        page.get_by_role("button", name="下载表格").click()
    return list(csv.DictReader(io.StringIO(table.value.path().read_text(encoding="utf-8-sig"))))


def in_order(rows: list[dict[str, str]]) -> bool:
    scores = [float(row["score"]) for row in rows if row["score"]]
    return scores == sorted(scores, reverse=True) and [row["rank"] for row in rows] == [
        str(place + 1) for place in range(len(rows))
    ]


def test_a_shop_takes_the_ten_best_of_42_product_pictures_away(page: Page, tmp_path: Path) -> None:
    files = {f"商品-{place}.jpg": encoded(patchwork(place, 1200, 1200), "JPEG") for place in range(42)}
    rows = ranked(page, files, "蓝色背景上的杯子", tmp_path)
    assert {row["name"] for row in rows} == set(files)
    assert in_order(rows)
    with page.expect_download() as packed:
        page.get_by_role("button", name="下载前 10 名的图片").click()
    with zipfile.ZipFile(packed.value.path()) as archive:
        assert len(archive.namelist()) == 10
        for entry, row in zip(archive.namelist(), rows, strict=False):
            assert entry == f"{int(row['rank']):03}_{float(row['score']):.1f}_{row['name']}"
            assert archive.read(entry) == files[row["name"]]


def test_a_designer_ranks_68_files_with_psd_and_transparent_png(page: Page, tmp_path: Path) -> None:
    files = {f"画板 {place}.psd": psd(patchwork(place, 640, 400)) for place in range(8)}
    files |= {f"logo_{place}.png": transparent(place) for place in range(30)}
    files |= {f"bg-{place}.webp": encoded(patchwork(100 + place), "WEBP") for place in range(29)}
    files["半张.psd"] = files["画板 0.psd"][:900]
    rows = ranked(page, files, "a red circle on white", tmp_path)
    assert in_order(rows)
    assert [row["name"] for row in rows if row["error"]] == ["半张.psd"] == [rows[-1]["name"]]
    assert all("alpha_flattened" in row["notes"] for row in rows if row["name"].startswith("logo_"))


def test_a_reviewer_orders_35_phone_photos_and_screenshots(page: Page, tmp_path: Path) -> None:
    register_heif_opener()
    files = {f"IMG_{place}.HEIC": encoded(patchwork(place, 1600, 1200), "HEIF") for place in range(10)}
    files |= {f"IMG_{place}.JPG": sideways(place) for place in range(10, 22)}
    files |= {f"Screenshot ({place}).png": encoded(patchwork(place, 540, 1170)) for place in range(22, 35)}
    rows = ranked(page, files, "猫", tmp_path)
    assert in_order(rows)
    assert not [row for row in rows if row["error"]]
    assert all("exif_rotated" in row["notes"] for row in rows if row["name"].endswith(".JPG"))


def psd(image: Image.Image) -> bytes:
    """A flat Photoshop file: header, three empty sections, uncompressed channels."""
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, image.height, image.width, 8, 3)
    return header + bytes(12) + struct.pack(">H", 0) + b"".join(band.tobytes() for band in image.split())


def transparent(seed: int) -> bytes:
    image, random_place = Image.new("RGBA", (500, 500)), random.Random(seed)
    x, y = random_place.randrange(200), random_place.randrange(200)
    ImageDraw.Draw(image).ellipse((x, y, x + 200, y + 200), fill=(random_place.randrange(256), 40, 60, 200))
    return encoded(image)


def sideways(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(patchwork(seed, 1600, 1200), "JPEG", exif=exif.tobytes())
