"""Photoshop files of 1 to 32 bits are read; others, and those without a merged picture, are refused in clear words."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from lychee_rerank.images.load import load_image
from support.images import looks_like, patchwork

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
    return merged(planes, 4 if image.mode == "CMYK" else 3, bits, compression, resources, version)


def merged(
    planes: np.ndarray, mode: int, bits: int, compression: int = RAW, resources: bytes = b"", version: int = 1
) -> bytes:
    """Planes of 8 bits, a Photoshop color mode, and how they are to be stored."""
    values = {1: planes, 8: planes, 16: planes.astype(">u2") * 257, 32: light(planes).astype(">f4")}[bits]
    rows = [row.tobytes() for plane in values for row in plane]
    if compression == RLE:
        packed = [packbits(row) for row in rows]
        rows = [struct.pack(">H", len(row)) for row in packed] + packed
    channels, height, width = planes.shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", version, channels, height, width * (8 if bits == 1 else 1), bits, mode)
    sections = bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(4)
    return header + sections + struct.pack(">H", compression) + b"".join(rows)


def light(planes: np.ndarray) -> np.ndarray:
    """Linear light of colors in sRGB; transparency, the fourth plane, is linear already."""
    values = planes / 255
    colors = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.concatenate([colors[:3], values[3:]])


def resource(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HxxI", number, len(content)) + content + bytes(len(content) % 2)


def version_info(has_merged_image: bool) -> bytes:
    return resource(1057, bytes([0, 0, 0, 1, has_merged_image, 0]))


@pytest.mark.parametrize(("mode", "bits"), [(m, b) for m in ("RGB", "RGBA", "CMYK") for b in (8, 16)] + [("RGB", 32)])
@pytest.mark.parametrize("compression", [RAW, RLE])
def test_all_depths_give_the_same_picture(mode: str, compression: int, bits: int) -> None:
    loaded = load_image(photoshop(IMAGE.convert(mode), bits, compression=compression))
    assert loaded.error is None
    assert loaded.original_size == IMAGE.size
    assert ("high_bit_depth_reduced" in loaded.notes) == (bits > 8)
    expected = np.asarray(ImageOps.fit(IMAGE, (384, 384)), dtype=int)
    assert np.abs(np.asarray(loaded.image, dtype=int) - expected).mean() < 3


@pytest.mark.parametrize("compression", [RAW, RLE])
def test_32_bits_are_light_whatever_their_profile_says(compression: int) -> None:
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"line")
    gray = np.asarray(IMAGE.convert("L"))[None]
    for planes, mode in ((np.asarray(IMAGE).transpose(2, 0, 1), 3), (gray, 1)):
        loaded = load_image(merged(planes, mode, 32, compression, resource(1039, linear)), fit="whole")
        assert (loaded.error, loaded.notes) == (None, ("high_bit_depth_reduced",))
        assert looks_like(loaded.image, IMAGE if mode == 3 else IMAGE.convert("L"))


def test_32_bits_beyond_white_are_white_and_no_number_is_black() -> None:
    planes = np.full((3, IMAGE.height, IMAGE.width), 255)
    data = photoshop(IMAGE, 32)
    values = np.where(planes == 255, 7.5, 0).astype(">f4")
    values[:, :, :200] = np.nan
    loaded = load_image(data[: -values.nbytes] + values.tobytes(), fit="whole")
    assert loaded.image.getpixel((5, 5)) == (0, 0, 0)
    assert loaded.image.getpixel((loaded.image.width - 5, 5)) == (255, 255, 255)


def test_transparency_of_32_bits_is_flattened() -> None:
    half = IMAGE.convert("RGBA")
    half.putalpha(0)
    assert load_image(photoshop(half, 32)).notes == ("alpha_flattened", "high_bit_depth_reduced")


@pytest.mark.parametrize("compression", [RAW, RLE])
def test_a_bitmap_is_no_negative(compression: int) -> None:
    bitmap = IMAGE.convert("1")
    bits = np.frombuffer(bitmap.tobytes("raw", "1;I"), np.uint8).reshape(1, IMAGE.height, -1)
    loaded = load_image(merged(bits, 0, 1, compression), fit="whole")
    assert loaded.error is None
    assert looks_like(loaded.image, bitmap.convert("RGB"))


@pytest.mark.parametrize("compression", [RAW, RLE])
@pytest.mark.parametrize("bits", [8, 16])
def test_saved_selections_change_nothing(compression: int, bits: int) -> None:
    planes, selection = np.asarray(IMAGE).transpose(2, 0, 1), np.zeros((1, IMAGE.height, IMAGE.width), np.uint8)
    for count in (1, 2, 6):
        identifiers = resource(1053, struct.pack(">3I", 5, 6, 7))
        data = merged(np.concatenate([planes, *[selection] * count]), 3, bits, compression, identifiers)
        loaded = load_image(data, fit="whole")
        assert loaded.error is None
        assert looks_like(loaded.image, IMAGE)


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
        (photoshop(IMAGE.convert("CMYK"), 32), "32 bits"),
        (merged(np.asarray(IMAGE).transpose(2, 0, 1), 7, 16), "multichannel"),
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
