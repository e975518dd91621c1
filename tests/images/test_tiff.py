"""The picture of a TIFF is never its thumbnail, and never a negative."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lychee_rerank.images.load import load_image
from support.images import looks_like, patchwork
from support.tiffs import Page, gray_page, rgb_page, tiff

THUMBNAIL = rgb_page(Image.new("RGB", (256, 171), "red"), t254=1)
FULL = patchwork(1, 900, 600)
RAMP = np.tile(np.linspace(0, 1, 400), (300, 1))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_first_page_marked_as_reduced_is_not_the_picture(order: str) -> None:
    for pages in (
        [THUMBNAIL, rgb_page(FULL)],
        [rgb_page(Image.new("RGB", (256, 171), "red"), t255=2), rgb_page(FULL, t255=1)],
        [Page(THUMBNAIL.tags, THUMBNAIL.strip, [rgb_page(FULL, t254=0)])],
        [THUMBNAIL, rgb_page(patchwork(2, 300, 200), t254=1), rgb_page(FULL, t254=0)],
    ):
        loaded = load_image(tiff(*pages, order=order), fit="whole")
        assert (loaded.error, loaded.original_size) == (None, (900, 600))
        assert looks_like(loaded.image, FULL)


def test_reduced_pages_behind_the_picture_change_nothing() -> None:
    loaded = load_image(tiff(rgb_page(FULL), THUMBNAIL), fit="whole")
    assert loaded.original_size == (900, 600)
    assert looks_like(loaded.image, FULL)


def test_a_file_of_nothing_but_a_reduced_page_is_read() -> None:
    loaded = load_image(tiff(THUMBNAIL))
    assert (loaded.error, loaded.original_size) == (None, (256, 171))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("highest", [255, 4095, 65535])
def test_white_as_zero_is_no_negative(order: str, highest: int) -> None:
    values = (RAMP * highest).astype("u1" if highest == 255 else order + "u2")
    black = load_image(tiff(gray_page(values), order=order))
    white = load_image(tiff(gray_page((highest - values).astype(values.dtype), white_is_zero=True), order=order))
    assert white.error is None
    assert white.notes == black.notes
    difference = np.asarray(white.image, dtype=int) - np.asarray(black.image, dtype=int)
    assert np.abs(difference).max() <= 1
    assert np.asarray(white.image)[:, 5].mean() < 60 < 195 < np.asarray(white.image)[:, -5].mean()


def test_kinds_that_pillow_lacks_or_misreads_are_not_called_damaged() -> None:
    rgb = Image.new("RGB", (40, 30))
    floats = rgb_page(rgb, t339=3)
    floats.tags[258], floats.strip = (32, 32, 32), bytes(40 * 30 * 12)
    lab = rgb_page(rgb, t262=8)
    lab.tags[258], lab.strip = (16, 16, 16), bytes(40 * 30 * 6)
    planes = rgb_page(rgb, t284=2)
    planes.tags[258], planes.strip = (16, 16, 16), bytes(40 * 30 * 6)
    for page, words in ((floats, "RGB, 32 bits"), (lab, "Lab, 16 bits"), (planes, "RGB, 16 bits")):
        problem = load_image(tiff(page)).problem
        assert problem is not None
        assert problem.code == "unsupported_kind"
        assert words in str(problem)


def test_a_cut_tiff_is_damaged() -> None:
    data = tiff(gray_page((RAMP * 255).astype("u1")))
    for cut in (data[:60_000], data[8:]):
        problem = load_image(cut).problem
        assert problem is not None
        assert problem.code in ("truncated", "not_an_image")
