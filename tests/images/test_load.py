"""Pictures of every kind become 384 x 384 RGB, or a grey stand-in with the reason."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps
from pillow_heif import register_heif_opener

from lychee_rerank.images import load as images
from lychee_rerank.images.load import find_images, has_image_suffix, load_image, preview
from support.images import encoded, patchwork

register_heif_opener(thumbnails=False)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")


@pytest.mark.parametrize("format", FORMATS)
def test_every_listed_format_is_read(format: str) -> None:
    loaded = load_image(encoded(patchwork(1), format))
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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = patchwork(2)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    loaded = load_image(encoded(picture, "TIFF" if mode in ("CMYK", "F") else "PNG"))
    assert loaded.error is None
    assert loaded.image.mode == "RGB"
    grey = np.asarray(loaded.image.convert("L"), dtype=int)
    expected = np.asarray(ImageOps.fit(patchwork(2), (384, 384)).convert("L"), dtype=int)
    assert np.corrcoef(grey.ravel(), expected.ravel())[0, 1] > (0.3 if mode == "1" else 0.9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    upright = Image.new("RGB", (200, 100), "blue")
    upright.paste("red", (0, 0, 50, 50))
    backwards = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(backwards[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(encoded(stored, "PNG", exif=exif), fit="whole")
    assert loaded.original_size == (200, 100)
    assert ("exif_rotated" in loaded.notes) == (orientation > 1)
    assert loaded.image.getpixel((5, 5)) == (255, 0, 0)
    assert loaded.image.getpixel((loaded.image.width - 5, loaded.image.height - 5)) == (0, 0, 255)


def test_transparency_is_laid_on_white() -> None:
    loaded = load_image(encoded(Image.new("RGBA", (50, 50), (255, 0, 0, 0))))
    assert loaded.image.getpixel((10, 10)) == (255, 255, 255)
    assert loaded.notes == ("alpha_flattened",)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    loaded = load_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert loaded.notes == ("first_frame",)
    assert loaded.image.getpixel((9, 9)) == (255, 0, 0)


def test_cropping_keeps_the_middle_and_whole_keeps_all() -> None:
    picture = Image.new("RGB", (900, 300), "blue")
    picture.paste("red", (300, 0, 600, 300))
    cropped, whole = (load_image(encoded(picture), fit=fit) for fit in ("crop", "whole"))
    assert set(cropped.image.resize((16, 16), Image.Resampling.NEAREST).get_flattened_data()) == {(255, 0, 0)}
    assert whole.image.width / whole.image.height == pytest.approx(3, rel=0.02)
    assert whole.image.width * whole.image.height <= 384 * 384
    assert whole.image.getpixel((2, 2)) == (0, 0, 255)


def test_an_embedded_colour_profile_is_followed() -> None:
    swapped = _profile_with_red_and_green_swapped()
    for picture in (Image.new("RGB", (60, 40), (200, 30, 10)), Image.new("RGBA", (60, 40), (200, 30, 10, 255))):
        red, green, _ = load_image(encoded(picture, icc_profile=swapped)).image.getpixel((9, 9))
        assert (red, green) == (pytest.approx(30, abs=6), pytest.approx(200, abs=6))


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_a_broken_profile_and_that_of_srgb_change_nothing(profile: bytes) -> None:
    for mode in ("RGB", "L", "CMYK"):
        picture = patchwork(8).convert(mode)
        plain, tagged = (load_image(encoded(picture, "TIFF", **more)) for more in ({}, {"icc_profile": profile}))
        assert tagged.error is None
        assert tagged.image.tobytes() == plain.image.tobytes()


def _profile_with_red_and_green_swapped() -> bytes:
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"_XYZ").replace(b"gXYZ", b"rXYZ").replace(b"_XYZ", b"gXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def test_twelve_bits_in_sixteen_are_not_black() -> None:
    grey = np.asarray(patchwork(9).convert("L")).astype(np.uint16)
    seen = [np.asarray(load_image(encoded(Image.fromarray(grey * scale))).image, dtype=int) for scale in (16, 257)]
    assert np.abs(seen[0] - seen[1]).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "F"])
def test_large_pictures_are_shrunk_in_strips_to_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = patchwork(10, 410, 330).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    data = encoded(picture, "TIFF" if mode == "F" else "PNG")
    max_concurrency = load_image(data, size=50)
    monkeypatch.setattr(images, "_STRIP_PIXELS", 410 * 20)
    in_strips = load_image(data, size=50)
    assert max_concurrency.original_size == in_strips.original_size == (410, 330)
    assert in_strips.image.tobytes() == max_concurrency.image.tobytes()


def test_a_transparent_colour_stays_clear_in_a_large_picture() -> None:
    picture = Image.new("RGB", (2000, 1600), (0, 255, 0))
    picture.paste((255, 0, 0), (0, 0, 1000, 1600))
    for stored in (picture, picture.quantize(2)):
        clear = (0, 255, 0) if stored.mode == "RGB" else stored.getpixel((1900, 9))
        loaded = load_image(encoded(stored, transparency=clear), fit="whole")
        assert loaded.notes == ("alpha_flattened",)
        assert loaded.image.getpixel((5, 5)) == (255, 0, 0)
        assert loaded.image.getpixel((loaded.image.width - 5, 5)) == (255, 255, 255)


@pytest.mark.timeout(20)
def test_a_million_frames_take_no_longer_than_one() -> None:
    two = encoded(Image.new("P", (1, 1)), "GIF", save_all=True, append_images=[Image.new("P", (1, 1), 1)], duration=10)
    frame = two[two.rindex(b"\x21\xf9\x04") : -1]
    assert load_image(two[:-1] + frame * 1_000_000 + b";").notes == ("first_frame",)
    assert load_image(_tiff_of_pages(300_000)).notes == ("first_frame",)


def _tiff_of_pages(pages: int) -> bytes:
    facts = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    page = struct.pack("<H", len(facts)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in facts)
    size = len(page) + 4
    following = [10 + number * size for number in range(1, pages)] + [0]
    return b"II*\0" + struct.pack("<I", 10) + b"\x80\0" + b"".join(page + struct.pack("<I", at) for at in following)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_the_oddest_shapes_fit_the_model(size: tuple[int, int], fit: images.Fit) -> None:
    loaded = load_image(encoded(Image.new("RGB", size, "red")), fit=fit)
    assert loaded.error is None
    assert min(loaded.image.size) >= 28
    assert loaded.image.width * loaded.image.height <= 384 * 384
    assert loaded.image.getpixel((0, 0)) == (255, 0, 0)


BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am no picture", "not_an_image"),
    "cut": (encoded(patchwork(3), "JPEG")[:2000], "truncated"),
    "cut png": (encoded(patchwork(3))[:-200], "truncated"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not_an_image"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_picture_becomes_a_grey_stand_in_with_the_reason(case: str) -> None:
    data, code = BROKEN[case]
    loaded = load_image(data, name="a.jpg")
    assert loaded.problem is not None
    assert loaded.problem.code == code
    assert loaded.error
    assert (loaded.name, loaded.image.size) == ("a.jpg", (384, 384))
    assert loaded.image.getcolors() == [(384 * 384, (128, 128, 128))]
    assert loaded.key == ""


def test_more_pixels_than_the_limit_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 480 * 360 - 1)
    problem = load_image(encoded(patchwork(1))).problem
    assert problem is not None
    assert problem.code == "too_many_pixels"


def test_larger_files_than_the_limit_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    problem = load_image(huge).problem
    assert problem is not None
    assert problem.code == "too_many_bytes"


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    codes = [load_image(path).problem for path in (tmp_path / "none.png", tmp_path)]
    assert [problem and problem.code for problem in codes][0] == "not_found"
    assert codes[1] is not None
    assert codes[1].code in ("unreadable", "not_found")


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(patchwork(4), "WEBP"))
    assert load_image(path).error is None
    assert load_image(path).content_hash == load_image(path.read_bytes()).content_hash


def test_equal_bytes_have_equal_hashes_and_fits_have_their_own_keys() -> None:
    data = encoded(patchwork(5))
    crop, again, whole = load_image(data), load_image(data), load_image(data, fit="whole")
    assert crop.content_hash == again.content_hash == whole.content_hash
    assert crop.key == again.key != whole.key


def test_a_preview_is_small_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = preview(encoded(patchwork(6, 2000, 1000), "JPEG", exif=exif))
    assert seen.original_size == (1000, 2000)
    assert seen.thumbnail is not None
    assert Image.open(io.BytesIO(seen.thumbnail)).size == (300, 600)
    assert preview(b"nothing").problem is not None


def test_pictures_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.JPG", "a/1.webp", ".hidden/x.png", ".h.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a/1.webp", "b2.JPG", "b10.png"]
    assert has_image_suffix("X.HEIC")
    assert not has_image_suffix("x.svg")


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    assert load_image(data).image.size == (384, 384)


@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_survived(format: str, data: st.DataObject) -> None:
    whole = bytearray(_SMALL[format])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    loaded = load_image(bytes(whole[: data.draw(st.integers(1, len(whole)))]))
    assert loaded.image.mode == "RGB"


_SMALL = {format: encoded(patchwork(7, 40, 30), format) for format in FORMATS}
