"""Photoshop files of 8 and 16 bits are read; others, and those without a merged picture, are refused in clear words."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from lychee_rerank.images.load import load_image
from support.images import patchwork

IMAGE = patchwork(4)
RLE, RAW = 1, 0


def packbits(row: bytes) -> bytes:
    blocks = (row[start : start + 128] for start in range(0, len(row), 128))
    return b"".join(bytes([len(block) - 1]) + block for block in blocks)


def photoshop(
    image: Image.Image, bits: int, *, compression: int = RAW, resources: bytes = b"", version: int = 1
) -> bytes:
    planes = np.asarray(image).transpose(2, 0, 1)
    planes = 255 - planes if image.mode == "CMYK" else planes  # as Photoshop stores it
    values = planes.astype(">u2") * 257 if bits == 16 else planes
    rows = [row.tobytes() for plane in values.astype(">u2" if bits == 16 else "u1") for row in plane]
    if compression == RLE:
        packed = [packbits(row) for row in rows]
        rows = [struct.pack(">H", len(row)) for row in packed] + packed
    mode = 4 if image.mode == "CMYK" else 3
    header = struct.pack(">4sH6xHIIHH", b"8BPS", version, len(planes), image.height, image.width, bits, mode)
    sections = bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(4)
    return header + sections + struct.pack(">H", compression) + b"".join(rows)


def version_info(has_merged_image: bool) -> bytes:
    return b"8BIM" + struct.pack(">HxxI", 1057, 6) + bytes([0, 0, 0, 1, has_merged_image, 0])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("compression", [RAW, RLE])
@pytest.mark.parametrize("bits", [8, 16])
def test_8_and_16_bits_give_the_same_picture(mode: str, compression: int, bits: int) -> None:
    loaded = load_image(photoshop(IMAGE.convert(mode), bits, compression=compression))
    assert loaded.error is None
    assert loaded.original_size == IMAGE.size
    expected = np.asarray(ImageOps.fit(IMAGE, (384, 384)), dtype=int)
    assert np.abs(np.asarray(loaded.image, dtype=int) - expected).mean() < 3


@pytest.mark.parametrize("compression", [RAW, RLE])
def test_further_channels_are_left_out(compression: int) -> None:
    data = bytearray(photoshop(IMAGE.convert("CMYK"), 16, compression=compression))
    extra = photoshop(Image.merge("RGBA", [IMAGE.getchannel(0)] * 4), 16, compression=compression)
    assert load_image(bytes(data)).error is load_image(extra).error is None
    data[12:14], data[24:26] = b"\0\4", b"\0\1"  # the same four channels as gray with three more
    assert load_image(bytes(data)).error is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (photoshop(IMAGE, 32), "32 bits"),
        (photoshop(IMAGE, 16, compression=3), "ZIP"),
        (photoshop(IMAGE, 8, version=2), "PSB"),
        (photoshop(Image.new("RGB", (90, 60), "white"), 8, resources=version_info(False)), "Maximize compatibility"),
    ],
)
def test_other_kinds_are_refused_in_clear_words(data: bytes, words: str) -> None:
    problem = load_image(data).problem
    assert problem is not None
    assert problem.code == "unsupported_kind"
    assert words in str(problem)


@pytest.mark.parametrize("image", [IMAGE, Image.new("RGB", (90, 60), "white")])
def test_a_merged_picture_is_read_whatever_it_shows(image: Image.Image) -> None:
    assert load_image(photoshop(image, 8, resources=version_info(True))).error is None


def test_a_picture_is_read_though_the_file_says_it_is_not_merged() -> None:
    assert load_image(photoshop(IMAGE, 8, resources=version_info(False))).error is None


@pytest.mark.parametrize("compression", [RAW, RLE])
def test_a_cut_file_is_damaged(compression: int) -> None:
    problem = load_image(photoshop(IMAGE, 16, compression=compression)[:-5000]).problem
    assert problem is not None
    assert problem.code == "truncated"


def test_absurd_sizes_are_refused_before_anything_is_unpacked() -> None:
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 4, 30_000, 30_000, 16, 3)
    problem = load_image(header + bytes(12) + b"\0\1" + bytes(500)).problem
    assert problem is not None
    assert problem.code == "too_many_pixels"
