"""A camera's RAW file is judged by a large preview or refused, never by its thumbnail."""

from __future__ import annotations

import pytest
from PIL import Image

from lychee_rerank.images.load import load_image
from support.images import encode, looks_like, patchwork
from support.tiffs import Page, rgb_page, sensor_page, tiff

THUMBNAIL = rgb_page(Image.new("RGB", (256, 171), "red"), t254=1)
FULL = patchwork(1, 900, 600)


def preview_page(image: Image.Image, **tags: int) -> Page:
    """A JPEG in one strip, as DNG previews and the first page of a CR2 are stored."""
    numbers = {256: image.width, 257: image.height, 258: (8, 8, 8), 259: 7, 262: 6, 277: 3, 278: image.height}
    return Page(numbers | {int(name[1:]): value for name, value in tags.items()}, encode(image, "JPEG", quality=95))


@pytest.mark.parametrize("thumbnail", [(256, 171), (8, 8)])
def test_raw_without_a_large_preview_is_refused(thumbnail: tuple[int, int]) -> None:
    small = rgb_page(Image.new("RGB", thumbnail), t254=1)
    for first in (
        Page(small.tags | {50706: (1, 4, 0, 0)}, small.strip, [sensor_page(2000, 1500)]),
        Page(small.tags, small.strip, [sensor_page(2000, 1500), preview_page(patchwork(1, 320, 240), t254=1)]),
        Page({256: 2000, 257: 1500, **sensor_page(8, 6).tags}, b"\0" * 96),
    ):
        problem = load_image(tiff(first)).problem
        assert problem is not None
        assert problem.code == "camera_raw"


@pytest.mark.parametrize("as_strip", [True, False])
def test_the_largest_preview_of_a_raw_file_is_used_and_noted(as_strip: bool) -> None:
    preview = preview_page(FULL, t254=1) if as_strip else Page({259: 6}, jpeg=encode(FULL, "JPEG", quality=95))
    first = Page(THUMBNAIL.tags | {50706: (1, 4, 0, 0)}, THUMBNAIL.strip, [sensor_page(1800, 1200), preview])
    loaded = load_image(tiff(first), fit="whole")
    assert (loaded.error, loaded.original_size) == (None, (1800, 1200))
    assert loaded.notes == ("embedded_preview",)
    assert looks_like(loaded.image, FULL)


def test_the_first_page_of_a_cr2_is_its_preview() -> None:
    full, thumbnail = preview_page(FULL, t259=6), Page({259: 6}, jpeg=encode(patchwork(2, 160, 120), "JPEG"))
    loaded = load_image(tiff(full, thumbnail, Page({259: 6, 50752: 1}), after_header=b"CR\2\0"), fit="whole")
    assert (loaded.error, loaded.original_size, loaded.notes) == (None, (900, 600), ("embedded_preview",))
    assert looks_like(loaded.image, FULL)


def test_the_preview_is_turned_as_the_camera_was() -> None:
    first = Page(THUMBNAIL.tags | {274: 6}, THUMBNAIL.strip, [sensor_page(1800, 1200), preview_page(FULL, t254=1)])
    loaded = load_image(tiff(first), fit="whole")
    assert loaded.original_size == (1200, 1800)
    assert loaded.notes == ("exif_rotated", "embedded_preview")
    assert looks_like(loaded.image, FULL.transpose(Image.Transpose.ROTATE_270))


def test_a_file_whose_pages_are_lost_is_damaged() -> None:
    for tags in ({50706: (1, 4, 0, 0)}, {}):
        problem = load_image(tiff(Page(THUMBNAIL.tags | tags | {330: 9_999_999}, THUMBNAIL.strip))).problem
        assert problem is not None
        assert problem.code == "truncated"
