"""A file becomes an image for the model or the page, or a gray placeholder with the reason."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from lychee_rerank.images.load import load_image, preview
from support.images import encode, patchwork

BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am no picture", "not_an_image"),
    "cut": (encode(patchwork(3), "JPEG")[:2000], "truncated"),
    "cut png": (encode(patchwork(3))[:-200], "truncated"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not_an_image"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_becomes_a_gray_placeholder_with_the_reason(case: str) -> None:
    data, code = BROKEN[case]
    loaded = load_image(data, name="a.jpg")
    assert loaded.problem is not None
    assert loaded.problem.code == code
    assert loaded.error
    assert (loaded.name, loaded.image.size) == ("a.jpg", (384, 384))
    assert loaded.image.getcolors() == [(384 * 384, (128, 128, 128))]
    assert loaded.key == ""


@pytest.mark.parametrize("where", ["PIL.ImageFile.ImageFile.load", "PIL.ImageOps.fit"])
def test_too_little_memory_is_a_reason_not_an_error(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError

    data = encode(patchwork(3), "BMP")
    monkeypatch.setattr(where, out_of_memory)
    problem = load_image(data).problem
    assert problem is not None
    assert problem.code == "out_of_memory"


def test_equal_bytes_have_equal_hashes_and_fits_have_their_own_keys() -> None:
    data = encode(patchwork(5))
    crop, again, whole = load_image(data), load_image(data), load_image(data, fit="whole")
    assert crop.content_hash == again.content_hash == whole.content_hash
    assert crop.key == again.key != whole.key


@pytest.mark.parametrize("size", [(900, 300), (300, 900), (610, 300)])
def test_a_picture_of_which_less_than_half_is_seen_has_a_note(size: tuple[int, int]) -> None:
    data = encode(patchwork(5, *size))
    assert load_image(data).notes == ("mostly_cropped",)
    assert load_image(data, fit="whole").notes == ()


def test_a_picture_of_which_half_is_seen_has_no_note() -> None:
    assert load_image(encode(patchwork(5, 600, 300))).notes == ()


def test_a_preview_is_small_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(patchwork(6, 2000, 1000), "JPEG", exif=exif)
    result = preview(data)
    assert (result.original_size, result.file_size, result.problem) == ((1000, 2000), len(data), None)
    assert result.thumbnail is not None
    assert Image.open(io.BytesIO(result.thumbnail)).size == (300, 600)


def test_a_preview_of_no_image_has_the_reason() -> None:
    result = preview(b"nothing")
    assert result.problem is not None
    assert (result.thumbnail, result.file_size, result.problem.code) == (None, 7, "not_an_image")
