"""Files are decoded upright, first frame only, within the pixel limit, and damage never raises."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from lychee_rerank.images import decode
from lychee_rerank.images.load import load_image
from support.images import encode, patchwork

register_heif_opener(thumbnails=False)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
PILLOW_LIMIT = Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("format", FORMATS)
def test_every_listed_format_is_read(format: str) -> None:
    loaded = load_image(encode(patchwork(1), format))
    assert loaded.error is None
    assert (loaded.image.mode, loaded.image.size, loaded.original_size) == ("RGB", (384, 384), (480, 360))
    expected = ImageOps.fit(patchwork(1), (384, 384))
    assert np.abs(np.asarray(loaded.image, dtype=int) - np.asarray(expected, dtype=int)).mean() < 12


def test_a_photoshop_file_is_read() -> None:
    header = b"8BPS" + (1).to_bytes(2, "big") + bytes(6) + (3).to_bytes(2, "big")
    size = (2).to_bytes(4, "big") * 2 + (8).to_bytes(2, "big") + (3).to_bytes(2, "big")
    loaded = load_image(header + size + bytes(12) + bytes(2) + b"\xff" * 4 + b"\x00" * 8)
    assert loaded.error is None
    assert loaded.image.getpixel((200, 200)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
    upright = Image.new("RGB", (200, 100), "blue")
    upright.paste("red", (0, 0, 50, 50))
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(inverse[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(encode(stored, "PNG", exif=exif), fit="whole")
    assert loaded.original_size == (200, 100)
    assert ("exif_rotated" in loaded.notes) == (orientation > 1)
    assert loaded.image.getpixel((5, 5)) == (255, 0, 0)
    assert loaded.image.getpixel((loaded.image.width - 5, loaded.image.height - 5)) == (0, 0, 255)


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    loaded = load_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert loaded.notes == ("first_frame",)
    assert loaded.image.getpixel((9, 9)) == (255, 0, 0)


@pytest.mark.timeout(20)
def test_a_million_frames_take_no_longer_than_one() -> None:
    two = encode(Image.new("P", (1, 1)), "GIF", save_all=True, append_images=[Image.new("P", (1, 1), 1)], duration=10)
    frame = two[two.rindex(b"\x21\xf9\x04") : -1]
    assert load_image(two[:-1] + frame * 1_000_000 + b";").notes == ("first_frame",)
    assert load_image(tiff_with_pages(300_000)).notes == ("first_frame",)


def tiff_with_pages(pages: int) -> bytes:
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    size = len(page) + 4
    offsets = [10 + number * size for number in range(1, pages)] + [0]
    return b"II*\0" + struct.pack("<I", 10) + b"\x80\0" + b"".join(page + struct.pack("<I", at) for at in offsets)


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A black and white PNG that says it is `width` x `height`."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
    )


@pytest.mark.parametrize("width", [15_000, 19_000])  # Pillow alone warns of the first and refuses the second
def test_images_up_to_200_megapixels_are_read_without_a_warning(width: int) -> None:
    loaded = load_image(png(width, 10_000, bytes(10_000 * (width // 8 + 1))))
    assert loaded.error is None
    assert loaded.original_size == (width, 10_000)


@pytest.mark.parametrize("width", [20_001, 30_000, 50_000, 2_000_000])
def test_more_than_200_megapixels_are_refused_before_decoding(width: int) -> None:
    problem = load_image(png(width, 10_000)).problem
    assert problem is not None
    assert (problem.code, problem.limit) == ("too_many_pixels", 200_000_000)


def test_a_refused_size_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 480 * 360 - 1)
    problem = load_image(encode(patchwork(1))).problem
    assert problem is not None
    assert (problem.code, problem.width, problem.height) == ("too_many_pixels", 480, 360)


def test_pillow_has_its_own_limit_again_when_the_last_thread_is_done() -> None:
    first_is_in, first_may_leave = threading.Event(), threading.Event()

    def decode_slowly() -> None:
        with decode._pillow_limit:
            first_is_in.set()
            first_may_leave.wait(10)

    thread = threading.Thread(target=decode_slowly)
    thread.start()
    first_is_in.wait(10)
    load_image(encode(patchwork(1)))
    assert Image.MAX_IMAGE_PIXELS == decode.MAX_PIXELS
    first_may_leave.set()
    thread.join()
    assert Image.MAX_IMAGE_PIXELS == PILLOW_LIMIT


def test_importing_the_package_changes_no_global_of_pillow_or_warnings() -> None:
    code = """
import warnings, PIL.Image
before = PIL.Image.MAX_IMAGE_PIXELS, list(warnings.filters), list(PIL.Image.ID)
import lychee_rerank, lychee_rerank.images.load
assert before == (PIL.Image.MAX_IMAGE_PIXELS, list(warnings.filters), list(PIL.Image.ID))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    assert load_image(data).image.size == (384, 384)


SMALL = {format: encode(patchwork(7, 40, 30), format) for format in FORMATS}


@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_survived(format: str, data: st.DataObject) -> None:
    content = bytearray(SMALL[format])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    loaded = load_image(bytes(content[: data.draw(st.integers(1, len(content)))]))
    assert loaded.image.mode == "RGB"
