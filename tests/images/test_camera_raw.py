"""A camera's RAW file is judged by a large preview or developed, never by its thumbnail, upright and within limits."""

from __future__ import annotations

import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from lychee_rerank.images import camera_raw
from lychee_rerank.images.load import LoadedImage, load_image, preview
from support.images import encode, looks_like, patchwork
from support.raw_files import THUMBNAIL, bayer_page, dng, linear_page, preview_page
from support.tiffs import Page, rgb_page, tiff

SENSOR = patchwork(1, 900, 600)
PREVIEW = patchwork(2, 900, 600)  # another picture, to tell them apart
RAW = bayer_page(SENSOR)
RAW_SIGNATURES = [b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"FOVb"]
UPRIGHT = {
    1: SENSOR,
    2: ImageOps.mirror(SENSOR),
    3: SENSOR.transpose(Image.Transpose.ROTATE_180),
    4: ImageOps.flip(SENSOR),
    5: SENSOR.transpose(Image.Transpose.TRANSPOSE),
    6: SENSOR.transpose(Image.Transpose.ROTATE_270),
    7: SENSOR.transpose(Image.Transpose.TRANSVERSE),
    8: SENSOR.transpose(Image.Transpose.ROTATE_90),
}


def whole(data: bytes) -> LoadedImage:
    loaded = load_image(data, fit="whole")
    assert loaded.error is None
    return loaded


def code(data: bytes) -> str:
    problem = load_image(data).problem
    return problem.code if problem else ""


def oriented(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize(
    "page",
    [
        preview_page(PREVIEW, t254=1),
        Page({259: 6, 254: 1}, jpeg=encode(PREVIEW, "JPEG", quality=95)),
        rgb_page(PREVIEW, t254=1),
    ],
)
def test_the_largest_preview_of_a_raw_file_is_used_and_noted(page: Page) -> None:
    loaded = whole(dng(RAW, preview_page(patchwork(3, 320, 240), t254=1), page))
    assert (loaded.original_size, loaded.notes) == ((900, 600), ("embedded_preview",))
    assert looks_like(loaded.image, PREVIEW)


@pytest.mark.parametrize("previews", [[], [preview_page(patchwork(3, 320, 240), t254=1)]])
def test_without_a_large_preview_the_sensor_is_developed_and_noted(previews: list[Page]) -> None:
    loaded = whole(dng(RAW, *previews))
    assert (loaded.original_size, loaded.notes) == ((900, 600), ("raw_developed",))
    assert looks_like(loaded.image, SENSOR)


def test_a_preview_that_is_no_picture_is_not_used() -> None:
    loaded = whole(dng(RAW, Page(preview_page(PREVIEW).tags, b"\xff\xd8\xff" + bytes(50_000))))
    assert loaded.notes == ("raw_developed",)


def test_a_sensor_that_delivers_all_colors_is_developed() -> None:
    loaded = whole(dng(linear_page(SENSOR)))
    assert (loaded.original_size, loaded.notes) == ((900, 600), ("raw_developed",))
    assert looks_like(loaded.image, SENSOR)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_kind_of_raw_file_is_turned_upright_exactly_once(orientation: int) -> None:
    portrait = orientation >= 5
    for data in (
        dng(RAW, orientation=orientation),
        dng(RAW, preview_page(SENSOR, t254=1), orientation=orientation),
        dng(RAW, rgb_page(SENSOR, t254=1), orientation=orientation),
        dng(RAW, Page(preview_page(SENSOR).tags, oriented(SENSOR, orientation)), orientation=orientation),
    ):
        loaded = whole(data)
        assert loaded.original_size == ((600, 900) if portrait else (900, 600))
        assert ("exif_rotated" in loaded.notes) == (orientation > 1)
        assert looks_like(loaded.image, UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_preview_that_is_upright_already_is_not_turned(orientation: int) -> None:
    loaded = whole(dng(RAW, preview_page(UPRIGHT[orientation], t254=1), orientation=orientation))
    assert (loaded.original_size, loaded.notes) == ((600, 900), ("embedded_preview",))
    assert looks_like(loaded.image, UPRIGHT[orientation])


def test_a_raw_file_has_a_thumbnail_for_the_page() -> None:
    shown = preview(dng(RAW, orientation=6))
    assert (shown.problem, shown.original_size) == (None, (600, 900))
    assert shown.thumbnail is not None


def test_a_dng_that_holds_a_plain_picture_is_read_like_a_tiff() -> None:
    first = Page(THUMBNAIL.tags | {50706: bytes((1, 4, 0, 0))}, THUMBNAIL.strip, [rgb_page(PREVIEW, t254=0)])
    loaded = whole(tiff(first))
    assert (loaded.original_size, loaded.notes) == ((900, 600), ())
    assert looks_like(loaded.image, PREVIEW)


@pytest.mark.parametrize("start", RAW_SIGNATURES)
def test_what_libraw_cannot_read_is_named_as_camera_raw(start: bytes) -> None:
    assert code(start + bytes(200)) == "camera_raw"


def test_a_file_whose_pages_are_lost_is_damaged() -> None:
    for tags in ({50706: (1, 4, 0, 0)}, {}):
        assert code(tiff(Page(THUMBNAIL.tags | tags | {330: 9_999_999}, THUMBNAIL.strip))) == "truncated"


@pytest.mark.parametrize("data", [dng(RAW), dng(linear_page(SENSOR), orientation=6)])
def test_a_cut_file_is_damaged(data: bytes) -> None:
    for tenths in range(1, 10):
        assert code(data[: len(data) * tenths // 10]) == "truncated"


def test_a_cut_file_is_judged_by_a_whole_preview() -> None:
    loaded = whole(dng(RAW, preview_page(PREVIEW, t254=1))[:-500_000])
    assert looks_like(loaded.image, PREVIEW)


@pytest.mark.parametrize(("size", "expected"), [((60_000, 50_000), "too_many_pixels"), ((12_000, 10_000), "truncated")])
def test_absurd_sizes_are_refused_before_anything_is_unpacked(
    size: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_raw, "_develop", lambda _: pytest.fail("it was unpacked"))
    assert code(dng(Page(RAW.tags | {256: size[0], 257: size[1]}, RAW.strip))) == expected


def test_all_colors_have_a_lower_limit_than_a_mosaic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_raw, "_MAX_LINEAR_PIXELS", 500_000)
    assert code(dng(RAW)) == ""
    assert code(dng(linear_page(SENSOR))) == "too_many_pixels"


def test_threads_develop_side_by_side() -> None:
    data = [dng(bayer_page(patchwork(seed, 900, 600)), orientation=seed % 8 + 1) for seed in range(8)]
    alone = [whole(each).image.tobytes() for each in data]
    with ThreadPoolExecutor(4) as pool:
        assert [loaded.image.tobytes() for loaded in pool.map(whole, data)] == alone


def test_libraw_is_imported_when_a_raw_file_comes() -> None:
    script = (
        "import io, sys; from PIL import Image; from lychee_rerank.images.load import load_image\n"
        "for format in ('PNG', 'TIFF'):\n"
        "    file = io.BytesIO(); Image.new('RGB', (9, 9)).save(file, format); load_image(file.getvalue())\n"
        "sys.exit('rawpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.filterwarnings("ignore")  # Pillow's, about odd tags
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_survived(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    small = [patchwork(seed, 120, 90), patchwork(seed, 90, 120)]
    for data in (dng(bayer_page(small[0]), preview_page(small[1])), dng(linear_page(small[0])), dng(RAW)):
        for _ in range(10):
            altered = bytearray(data)
            for position in numbers.integers(0, min(len(data), 6000 if numbers.random() < 0.5 else len(data)), 5):
                altered[position] = numbers.integers(256)
            struct.pack_into("<I", altered, 4, struct.unpack_from("<I", data, 4)[0])  # else it is no TIFF any more
            loaded = load_image(bytes(altered))
            assert preview(bytes(altered)).problem == loaded.problem
