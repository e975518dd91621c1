"""What the model sees of a file stays as it is; whoever changes it raises PREPARATION_VERSION."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lychee_rerank.images.load import PREPARATION_VERSION, load_image
from support.images import encode
from support.tiffs import gray_page, tiff

HINT = "Prepared pixels have changed: raise PREPARATION_VERSION in images/load.py, then renew these values."
Y, X = np.mgrid[0:720, 0:1000]
PICTURE = Image.fromarray(np.stack([X / 4, Y / 3, (X + Y) % 200], -1).astype(np.uint8))
GRAY = PICTURE.convert("L")
ALPHA = PICTURE.copy()
ALPHA.putalpha(GRAY)
EXIF = Image.Exif()
EXIF[0x0112] = 8
FILES = {
    "png": encode(PICTURE),
    "png, transparent": encode(ALPHA),
    "png, palette": encode(PICTURE.quantize(16, Image.Quantize.MEDIANCUT)),
    "png, 16 bits": encode(Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257)),
    "jpeg, turned": encode(PICTURE, "JPEG", quality=95, exif=EXIF),
    "jpeg, cmyk": encode(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "jpeg, large": encode(PICTURE.resize((4000, 2880)), "JPEG", quality=90),
    "webp": encode(PICTURE, "WEBP", lossless=True),
    "gif": encode(GRAY, "GIF"),
    "bmp": encode(PICTURE, "BMP"),
    "tiff, white is zero": tiff(gray_page(65535 - np.asarray(GRAY).astype("<u2") * 257, white_is_zero=True)),
}
EXPECTED = {  # 16 means each, in hexadecimal
    "png, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "png, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "png, transparent, crop": "dad2ccc7c8c4c1c0c0c0c1c3c2c5cad0",
    "png, transparent, whole": "dfd4cbc4ccc5c1c0c1c0c1c5c1c5cbd4",
    "png, palette, crop": "2e3a4c58515d6e7b737f919d96a2b4c0",
    "png, palette, whole": "273a4c5d495c6e816c7e91a38ea1b4c6",
    "png, 16 bits, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "png, 16 bits, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "jpeg, turned, crop": "56799cc0496c8fb23b5e82a52e517497",
    "jpeg, turned, whole": "5e81a4c74b6e91b4395c7fa126496c8f",
    "jpeg, cmyk, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "jpeg, cmyk, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "jpeg, large, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "jpeg, large, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "webp, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "webp, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "gif, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "gif, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "bmp, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "bmp, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
    "tiff, white is zero, crop": "2e3b4956515e6c7974828f9c97a5b2c0",
    "tiff, white is zero, whole": "26394b5e495c6e816c7f91a48fa2b5c7",
}


def means(image: Image.Image) -> list[int]:
    """Gray means of 4 x 4 fields."""
    gray = np.asarray(image.convert("L"), dtype=float)
    fields = gray[: gray.shape[0] // 4 * 4, : gray.shape[1] // 4 * 4].reshape(4, gray.shape[0] // 4, 4, -1)
    return [round(value) for value in fields.mean((1, 3)).ravel()]


def test_the_values_below_are_those_of_this_version() -> None:
    assert PREPARATION_VERSION == 3, HINT


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_prepared_pixels_are_as_before(name: str, fit: str) -> None:
    loaded = load_image(FILES[name], fit=fit)  # type: ignore[arg-type]
    expected = bytes.fromhex(EXPECTED[f"{name}, {fit}"])
    assert np.abs(np.array(means(loaded.image)) - list(expected)).max() <= 1, HINT
