"""The page's server is killed and started again: pictures, rankings and settings are there, nothing is scored twice."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from support.images import encode
from support.page_server import FAKE_APP, free_port, start_page


@dataclass
class Server:
    """The page on one port and one folder, through several lives."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: Popen[bytes] | None = None

    def start(self, delay: float) -> None:
        environment = {
            "LYCHEE_STORE": str(self.folder / "store"),
            "LYCHEE_TEST_DELAY": str(delay),
            "LYCHEE_TEST_SCORED": str(self.folder / "scored"),
        }
        self.process = start_page(FAKE_APP, self.port, **environment)

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def scored(self) -> list[str]:
        """The images that the model scored, in all lives, in order."""
        return (self.folder / "scored").read_text(encoding="utf-8").split()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN")
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def open_page(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")


def red(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    files = [folder / f"红{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(encode(Image.new("RGB", (400, 300), (50 + 8 * number, 0, 0))))
    return files


def drop(page: Page, files: list[Path]) -> None:
    page.set_input_files("input[type=file]", [str(file) for file in files])


def add_folder(page: Page, folder: Path) -> None:
    page.get_by_label("或本机文件夹").fill(str(folder))
    page.get_by_role("button", name="添加").click()


def test_a_ranking_killed_in_the_middle_is_there_and_goes_on(server: Server, page: Page, tmp_path: Path) -> None:
    server.start(delay=0.3)
    open_page(page, server)
    page.get_by_text("整张图片", exact=True).click()
    add_folder(page, red(tmp_path / "folder", 20)[0].parent)
    expect(page.get_by_text("已放入 20 张图片")).to_be_visible()
    drop(page, red(tmp_path / "dropped", 24)[20:])
    expect(page.get_by_text("已放入 24 张图片")).to_be_visible()
    page.get_by_label("想找什么样的图片？").fill("红色")
    page.get_by_role("button", name="开始重排序").click()
    expect(page.locator(".rank").nth(2)).to_be_visible()
    server.kill()

    server.start(delay=0.0)
    open_page(page, server)
    stopped = page.get_by_text(re.compile(r"^已停止：\d+ / 24 张有结果"))
    expect(stopped).to_be_visible()
    done = int(re.findall(r"\d+", stopped.inner_text())[0])
    assert 3 <= done < 24
    expect(page.locator(".rank")).to_have_count(done)
    expect(page.locator('[class*="st-key-card-"] img')).to_have_count(done)
    expect(page.get_by_text("已放入 24 张图片")).to_be_visible()
    expect(page.locator(".st-key-fit input").nth(1)).to_be_checked()
    expect(page.get_by_label("想找什么样的图片？")).to_have_value("红色")
    scored_before = len(server.scored())
    page.get_by_role("button", name="开始重排序").click()
    expect(page.get_by_text(re.compile("^完成：24 张"))).to_be_visible()
    expect(page.locator(".rank")).to_have_count(24)
    expect(page.locator(".name").first).to_have_text("红23.png")
    # The image in progress when the server was killed may have been scored without being kept.
    assert len(set(server.scored())) == 24
    assert len(server.scored()) <= 24 + 1
    assert len(server.scored()) - scored_before == 24 - done


def test_a_finished_ranking_is_there_with_its_written_reasons(server: Server, page: Page, tmp_path: Path) -> None:
    server.start(delay=0.0)
    open_page(page, server)
    drop(page, red(tmp_path / "dropped", 3))
    expect(page.get_by_text("已放入 3 张图片")).to_be_visible()
    page.get_by_label("想找什么样的图片？").fill("红色")
    page.get_by_role("button", name="开始重排序").click()
    expect(page.get_by_text(re.compile("^完成：3 张"))).to_be_visible()
    expect(page.locator(".rank")).to_have_count(3)
    shown = page.locator(".rank").all_inner_texts()
    server.kill()

    server.start(delay=0.0)
    open_page(page, server)
    expect(page.get_by_text(re.compile("^完成：3 张"))).to_be_visible()
    expect(page.locator(".rank")).to_have_text(shown)
    page.get_by_text("模型输出").first.click()
    expect(page.locator(".answer").first).to_contain_text("理由：<b>红</b>")
    page.get_by_role("button", name="查看大图").first.click()
    expect(page.get_by_role("dialog").get_by_text("400 × 300 像素")).to_be_visible()
    assert len(server.scored()) == 3


def test_everything_kept_is_deleted_for_good_and_the_page_goes_on(server: Server, page: Page, tmp_path: Path) -> None:
    server.start(delay=0.0)
    open_page(page, server)
    files = red(tmp_path / "dropped", 3)
    for _ in range(2):
        drop(page, files)
        expect(page.get_by_text("已放入 3 张图片")).to_be_visible()
        page.get_by_label("想找什么样的图片？").fill("红色")
        page.get_by_role("button", name="开始重排序").click()
        expect(page.get_by_text(re.compile("^完成：3 张"))).to_be_visible()
        if page.get_by_role("button", name="删除全部保存的内容").count() == 0:
            page.get_by_text("保存在本机", exact=True).click()
        expect(page.get_by_text("3 个分数")).to_be_visible()
        page.get_by_role("button", name="删除全部保存的内容").click()
        page.get_by_role("dialog").get_by_role("button", name="确认删除").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_text("0 个分数")).to_be_visible()
        expect(page.get_by_text("已放入")).to_have_count(0)
    assert len(server.scored()) == 6
    assert not list((tmp_path / "store" / "dropped").iterdir())
    server.kill()

    server.start(delay=0.0)
    open_page(page, server)
    expect(page.get_by_role("button", name="开始重排序")).to_be_visible()
    expect(page.get_by_text("已放入")).to_have_count(0)
    expect(page.locator(".rank")).to_have_count(0)
