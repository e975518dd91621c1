"""Every mode, profile, bit depth and transparency becomes 8-bit RGB that looks the same."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from lychee_rerank.images.load import load_image
from support.images import encode, patchwork
from support.tiffs import Page, tiff

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def with_red_and_green_swapped(profile: bytes) -> bytes:
    swapped = profile.replace(b"rXYZ", b"_XYZ").replace(b"gXYZ", b"rXYZ").replace(b"_XYZ", b"gXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = patchwork(2)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    loaded = load_image(encode(image, "TIFF" if mode in ("CMYK", "F") else "PNG"))
    assert loaded.error is None
    assert loaded.image.mode == "RGB"
    gray = np.asarray(loaded.image.convert("L"), dtype=int)
    expected = np.asarray(ImageOps.fit(patchwork(2), (384, 384)).convert("L"), dtype=int)
    assert np.corrcoef(gray.ravel(), expected.ravel())[0, 1] > (0.3 if mode == "1" else 0.9)


def test_transparency_is_laid_on_white() -> None:
    loaded = load_image(encode(Image.new("RGBA", (50, 50), (255, 0, 0, 0))))
    assert loaded.image.getpixel((10, 10)) == (255, 255, 255)
    assert loaded.notes == ("alpha_flattened",)


def test_an_embedded_color_profile_is_applied() -> None:
    profile = with_red_and_green_swapped(SRGB)
    for image in (Image.new("RGB", (60, 40), (200, 30, 10)), Image.new("RGBA", (60, 40), (200, 30, 10, 255))):
        red, green, _ = load_image(encode(image, icc_profile=profile)).image.getpixel((9, 9))
        assert (red, green) == (pytest.approx(30, abs=6), pytest.approx(200, abs=6))


@pytest.mark.parametrize("profile", [b"no profile", SRGB])
def test_a_broken_profile_and_that_of_srgb_change_nothing(profile: bytes) -> None:
    for mode in ("RGB", "L", "CMYK"):
        image = patchwork(8).convert(mode)
        plain, tagged = (load_image(encode(image, "TIFF", **more)) for more in ({}, {"icc_profile": profile}))
        assert tagged.error is None
        assert tagged.image.tobytes() == plain.image.tobytes()


@pytest.mark.parametrize("side", [60, 2000])
def test_gray_with_premultiplied_transparency_is_laid_on_white(side: int) -> None:
    gray = Page({256: side, 257: side, 258: (8, 8), 259: 1, 262: 1, 277: 2, 278: side, 338: 1}, b"\x40\x80" * side**2)
    loaded = load_image(tiff(gray))
    assert (loaded.error, loaded.notes) == (None, ("alpha_flattened",))
    assert loaded.image.getpixel((9, 9)) == pytest.approx((191, 191, 191), abs=2)


def test_twelve_bits_in_sixteen_are_not_black() -> None:
    gray = np.asarray(patchwork(9).convert("L")).astype(np.uint16)
    twelve, sixteen = (
        np.asarray(load_image(encode(Image.fromarray(gray * scale))).image, dtype=int) for scale in (16, 257)
    )
    assert np.abs(twelve - sixteen).max() <= 2


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_missing_values_leave_the_rest_as_it_is(broken: float) -> None:
    values = np.asarray(patchwork(9, 384, 384).convert("L")).astype(np.float32) / 255
    values[0, 0], values[0, 1] = 0, 1
    plain = np.asarray(load_image(encode(Image.fromarray(values), "TIFF")).image, dtype=int)
    values[50:60, 50:60] = broken
    actual = np.asarray(load_image(encode(Image.fromarray(values), "TIFF")).image, dtype=int)
    assert np.abs(actual - plain)[100:].max() <= 1
    assert (actual[52:58, 52:58] == (255 if broken == np.inf else 0)).all()


def test_nothing_but_missing_values_is_survived() -> None:
    image = Image.fromarray(np.full((40, 30), np.nan, np.float32))
    assert load_image(encode(image, "TIFF")).error is None


def test_an_srgb_profile_for_linear_light_is_applied() -> None:
    curve = SRGB[(start := SRGB.index(b"para") + 12) : start + 20]
    linear = SRGB.replace(curve, struct.pack(">5i", 65536, 65536, 0, 65536, 0))
    linear = linear.replace("sRGB built-in".encode("utf-16-be"), "sRGB (Linear)".encode("utf-16-be"))
    loaded = load_image(encode(Image.new("RGB", (9, 9), (55, 55, 55)), icc_profile=linear))
    assert loaded.image.getpixel((5, 5)) == pytest.approx((128, 128, 128), abs=1)
