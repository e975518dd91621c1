"""Four whole pieces of work, from upload to export, with the real demo checkpoint in a real browser."""

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

from support.images import encode, patchwork
from support.page_server import ROOT, serve_page
from support.page_steps import open_empty

SAMPLES = ROOT / "lychee_rerank" / "demo" / "samples"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_page(ROOT / "app.py", LYCHEE_MODEL="demo") as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", base_url=url, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    open_empty(page)
    yield page
    context.close()


def upload_and_rank(page: Page, files: dict[str, bytes], query: str, folder: Path) -> list[dict[str, str]]:
    """The rows of the downloaded CSV."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    page.set_input_files("input[type=file]", [str(folder / name) for name in files])
    expect(page.get_by_text(f"已放入 {len(files)} 张图片")).to_be_visible(timeout=60_000)
    page.get_by_label("想找什么样的图片？").fill(query)
    page.get_by_label("想找什么样的图片？").press("Enter")
    expect(page.get_by_text(re.compile(f"^完成：{len(files)} 张"))).to_be_visible(timeout=120_000)
    page.get_by_role("tab", name="导出").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载表格").click()
    return list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))


def is_sorted(rows: list[dict[str, str]]) -> bool:
    scores = [float(row["score"]) for row in rows if row["score"]]
    return scores == sorted(scores, reverse=True) and [row["rank"] for row in rows] == [
        str(rank) for rank in range(1, len(rows) + 1)
    ]


def test_a_shop_downloads_the_ten_best_of_42_product_images(page: Page, tmp_path: Path) -> None:
    files = {f"商品-{number}.jpg": encode(patchwork(number, 1200, 1200), "JPEG") for number in range(42)}
    rows = upload_and_rank(page, files, "蓝色背景上的杯子", tmp_path)
    assert {row["name"] for row in rows} == set(files)
    assert is_sorted(rows)
    with page.expect_download() as download:
        page.get_by_role("button", name="下载前 10 名的图片").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == 10
        for entry, row in zip(archive.namelist(), rows, strict=False):
            assert entry == f"{int(row['rank']):03}_{float(row['score']):.1f}_{row['name']}"
            assert archive.read(entry) == files[row["name"]]


def test_a_photographer_folds_copies_sees_why_and_takes_home_what_is_kept(page: Page, tmp_path: Path) -> None:
    samples = ("basketball", "banana", "cat", "rose")
    files = {f"{name}.jpg": (SAMPLES / f"{name}.jpg").read_bytes() for name in samples}
    with Image.open(SAMPLES / "basketball.jpg") as original:
        files["小图.png"] = encode(original.resize((original.width // 2, original.height // 2)))
    rows = upload_and_rank(page, files, "篮球，蓝色背景", tmp_path)
    scores = {row["name"]: (float(row["篮球"]), float(row["蓝色背景"])) for row in rows}
    assert all(best > worst for best, worst in zip(scores["basketball.jpg"], scores["banana.jpg"], strict=True))
    page.get_by_role("tab", name="图片").click()
    expect(page.locator('[class*="st-key-card-"]')).to_have_count(4)
    expect(page.get_by_text("共 2 张相近")).to_be_visible()
    page.get_by_role("button", name="留", exact=True).first.click()
    expect(page.get_by_text("已留 1 张")).to_be_visible()
    page.get_by_text("合并相近的图片").click()
    expect(page.locator('[class*="st-key-card-"]')).to_have_count(5)
    page.get_by_role("tab", name="导出").click()
    page.get_by_text("留下的", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="下载留下的 1 张").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert [name.partition("_")[0] for name in archive.namelist()] == ["001"]


def test_a_designer_ranks_68_files_with_psd_and_transparent_png(page: Page, tmp_path: Path) -> None:
    files = {f"画板 {number}.psd": psd(patchwork(number, 640, 400)) for number in range(8)}
    files |= {f"logo_{number}.png": transparent(number) for number in range(30)}
    files |= {f"bg-{number}.webp": encode(patchwork(100 + number), "WEBP") for number in range(29)}
    files["半张.psd"] = files["画板 0.psd"][:900]
    rows = upload_and_rank(page, files, "a red circle on white", tmp_path)
    assert is_sorted(rows)
    assert [row["name"] for row in rows if row["error"]] == ["半张.psd"] == [rows[-1]["name"]]
    assert all("alpha_flattened" in row["notes"] for row in rows if row["name"].startswith("logo_"))


def test_a_reviewer_orders_35_phone_photos_and_screenshots(page: Page, tmp_path: Path) -> None:
    register_heif_opener()
    files = {f"IMG_{number}.HEIC": encode(patchwork(number, 1600, 1200), "HEIF") for number in range(10)}
    files |= {f"IMG_{number}.JPG": sideways(number) for number in range(10, 22)}
    files |= {f"Screenshot ({number}).png": encode(patchwork(number, 540, 1170)) for number in range(22, 35)}
    rows = upload_and_rank(page, files, "猫", tmp_path)
    assert is_sorted(rows)
    assert not [row for row in rows if row["error"]]
    assert all("exif_rotated" in row["notes"] for row in rows if row["name"].endswith(".JPG"))


def psd(image: Image.Image) -> bytes:
    """A flat Photoshop file: header, three empty sections, uncompressed channels."""
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, image.height, image.width, 8, 3)
    return header + bytes(12) + struct.pack(">H", 0) + b"".join(band.tobytes() for band in image.split())


def transparent(seed: int) -> bytes:
    image, generator = Image.new("RGBA", (500, 500)), random.Random(seed)
    x, y = generator.randrange(200), generator.randrange(200)
    ImageDraw.Draw(image).ellipse((x, y, x + 200, y + 200), fill=(generator.randrange(256), 40, 60, 200))
    return encode(image)


def sideways(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(patchwork(seed, 1600, 1200), "JPEG", exif=exif.tobytes())
