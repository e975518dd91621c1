"""Every format that Pillow decodes by itself is read; of the rest, a person learns what it is instead of "damaged"."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from lychee_rerank.images.formats import FORMATS, MAX_SLOW_PIXELS
from lychee_rerank.images.load import load_image
from support.images import encode, patchwork

IMAGE = patchwork(1)
LEFT_OUT = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5", "IPTC"}


def code(data: bytes) -> str:
    problem = load_image(data).problem
    return problem.code if problem else ""


def bmp(bits: int, compression: int = 0, masks: tuple[int, ...] = (), palette: bytes = b"") -> bytes:
    extra = struct.pack(f"<{len(masks)}I", *masks) + palette
    info = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, bits, compression, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + len(extra)) + info + extra + bytes(8 * 8 * 4)


def test_all_of_pillow_is_allowed_but_for_what_it_does_not_decode_itself() -> None:
    Image.init()
    assert set(Image.OPEN) - set(FORMATS) <= LEFT_OUT
    assert not LEFT_OUT & set(FORMATS)


@pytest.mark.parametrize("format", "JPEG2000 PPM QOI DDS PCX SGI TGA ICO ICNS DIB".split())
def test_rarer_formats_are_read(format: str) -> None:
    square = patchwork(1, 256, 256)
    loaded = load_image(encode(square, format))
    assert loaded.error is None
    expected = np.asarray(ImageOps.fit(square, (384, 384)), dtype=int)
    assert np.abs(np.asarray(loaded.image, dtype=int) - expected).mean() < 4


def test_the_largest_picture_of_an_icon_is_read() -> None:
    for format, mode, largest in (("ICO", "RGB", 256), ("ICNS", "RGB", 1024), ("ICNS", "P", 1024)):
        icon = patchwork(2, 1024, 1024).convert(mode)
        loaded = load_image(encode(icon, format))
        assert (loaded.error, loaded.original_size) == (None, (largest, largest))
        expected = np.asarray(icon.convert("RGB").resize((384, 384)), dtype=int)
        assert np.abs(np.asarray(loaded.image, dtype=int) - expected).mean() < 12


@pytest.mark.parametrize("head", [b"%PDF-1.7\n", b"\0\0\0\x18ftypmp42", b"\0\0\0\x14ftypqt  ", b"Dear all"])
def test_what_is_no_picture_is_not_called_damaged(head: bytes) -> None:
    assert code(head + bytes(50)) == "not_an_image"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (bmp(16, 3, (0xF000, 0x0F00, 0x00F0)), "BMP bitfields"),
        (bmp(32, 6, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), "BMP compression"),
        (bmp(2, palette=bytes(16)), "BMP pixel depth"),
    ],
)
def test_a_kind_that_is_not_supported_is_named(data: bytes, words: str) -> None:
    loaded = load_image(data)
    assert loaded.problem is not None
    assert loaded.problem.code == "unsupported_kind"
    assert words in str(loaded.problem)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_a_file_cut_within_its_header_is_damaged(format: str) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    assert code(encode(IMAGE, format)[:25]) == "truncated"


def test_what_is_decoded_slowly_has_a_lower_limit() -> None:
    side = int(MAX_SLOW_PIXELS**0.5) + 1
    problem = load_image(b"qoif" + struct.pack(">IIBB", side, side, 3, 0) + bytes(50)).problem
    assert problem is not None
    assert (problem.code, problem.limit) == ("too_many_pixels", MAX_SLOW_PIXELS)


def test_an_icon_of_absurd_size_is_refused() -> None:
    picture = encode(Image.new("L", (1, 1)))
    huge = picture[:16] + struct.pack(">II", 60_000, 60_000) + picture[24:]
    icon = b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(huge), 22) + huge
    assert code(icon) in ("too_many_pixels", "truncated", "not_an_image")
