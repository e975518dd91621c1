"""Files that are whole, though Pillow refuses them, are read; cut ones are still called damaged."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms, PngImagePlugin

from lychee_rerank.images.load import load_image
from support.images import encode, patchwork

IMAGE = patchwork(3, 500, 400)
JPEGS = {
    "baseline": encode(IMAGE, "JPEG"),
    "progressive": encode(IMAGE, "JPEG", progressive=True),
    "gray": encode(IMAGE.convert("L"), "JPEG"),
    "large": encode(patchwork(3, 3000, 2400), "JPEG"),
}
LONG_TEXT = "flower " * 400_000


def code(data: bytes) -> str:
    problem = load_image(data).problem
    return problem.code if problem else ""


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("kind", ["baseline", "gray", "large"])
@pytest.mark.parametrize("end", [b"", b"\xff", b"\0" * 3000])
def test_a_jpeg_without_its_end_marker_is_read_as_it_is(kind: str, end: bytes) -> None:
    loaded = load_image(JPEGS[kind][:-2] + end)
    assert loaded.error is None
    assert loaded.image.tobytes() == load_image(JPEGS[kind]).image.tobytes()


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("lost", [40, 0.02, 0.5])
def test_a_cut_jpeg_is_damaged(kind: str, lost: float) -> None:
    data = JPEGS[kind]
    kept = len(data) - int(lost if lost > 1 else lost * len(data))
    assert code(data[:kept]) == "truncated"


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["baseline", "gray", "progressive"]), st.floats(0.1, 0.98))
def test_no_cut_jpeg_is_taken_for_whole(kind: str, part: float) -> None:
    assert code(JPEGS[kind][: int(part * len(JPEGS[kind]))]) == "truncated"


def test_long_texts_in_a_png_are_no_damage() -> None:
    for text, kept in ((LONG_TEXT, True), (LONG_TEXT, False), ("x" * 9_000_000, True)):
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", text, zip=True)
        info.add_itxt("workflow", text, zip=True)
        data = encode(IMAGE, pnginfo=info if kept else None)
        if not kept:  # behind the pixels
            data = data[:-12] + png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text.encode())) + data[-12:]
        loaded = load_image(data)
        assert loaded.error is None
        assert loaded.image.tobytes() == load_image(encode(IMAGE)).image.tobytes()


def test_a_long_color_profile_in_a_png_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"_XYZ").replace(b"gXYZ", b"rXYZ").replace(b"_XYZ", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    short = load_image(encode(IMAGE, icc_profile=swapped))
    long_profile = struct.pack(">I", len(swapped) + 2_000_000) + swapped[4:] + bytes(2_000_000)
    loaded = load_image(encode(IMAGE, icc_profile=long_profile))
    assert loaded.error is None
    assert loaded.image.tobytes() == short.image.tobytes() != load_image(encode(IMAGE)).image.tobytes()


def test_a_png_that_lacks_only_its_end_is_read() -> None:
    data = encode(IMAGE)
    for cut in (data[:-12], data[:-5]):
        assert load_image(cut).image.tobytes() == load_image(data).image.tobytes()


@settings(deadline=None, max_examples=40)
@given(st.floats(0.05, 0.99))
def test_a_png_cut_within_its_pixels_is_damaged(part: float) -> None:
    data = encode(IMAGE)
    assert code(data[: int(part * (len(data) - 30))]) == "truncated"
