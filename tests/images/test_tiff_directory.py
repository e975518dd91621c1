"""Directories are found in order, once each, and any of them can be made the first."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from lychee_rerank.images.tiff_directory import all_directories, first_directory, put_first
from support.images import patchwork
from support.tiffs import Page, rgb_page, tiff

PAGES = [rgb_page(patchwork(number, 30 + number, 20)) for number in range(4)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_come_in_order_each_followed_by_its_children(order: str) -> None:
    data = tiff(Page(PAGES[0].tags, PAGES[0].strip, [PAGES[1], PAGES[2]]), PAGES[3], order=order)
    directories = list(all_directories(data))
    assert [directory.size for directory in directories] == [(30, 20), (31, 20), (32, 20), (33, 20)]
    for number, directory in enumerate(directories):
        with Image.open(io.BytesIO(put_first(directory))) as image:
            assert image.tobytes() == PAGES[number].strip


def test_pages_that_follow_each_other_in_a_circle_end() -> None:
    data = bytearray(tiff(PAGES[0], PAGES[1]))
    first, second = all_directories(bytes(data))
    end = second.tags.offset + 2 + 12 * len(second.tags)
    data[end : end + 4] = first.tags.offset.to_bytes(4, "little")
    assert len(list(all_directories(bytes(data)))) == 2


def test_a_directory_beyond_the_end_has_no_tags() -> None:
    data = tiff(PAGES[0])
    assert not first_directory(data[:4] + (len(data) + 9).to_bytes(4, "little") + data[8:]).tags
