"""Any number of pixels becomes the model's size, without wide copies of large images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lychee_rerank.images import resize
from lychee_rerank.images.load import load_image
from support.images import encode, patchwork


def test_cropping_keeps_the_center_and_whole_keeps_everything() -> None:
    image = Image.new("RGB", (900, 300), "blue")
    image.paste("red", (300, 0, 600, 300))
    cropped, whole = (load_image(encode(image), fit=fit) for fit in ("crop", "whole"))
    assert set(cropped.image.resize((16, 16), Image.Resampling.NEAREST).get_flattened_data()) == {(255, 0, 0)}
    assert whole.image.width / whole.image.height == pytest.approx(3, rel=0.02)
    assert whole.image.width * whole.image.height <= 384 * 384
    assert whole.image.getpixel((2, 2)) == (0, 0, 255)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_the_oddest_shapes_fit_the_model(size: tuple[int, int], fit: resize.Fit) -> None:
    loaded = load_image(encode(Image.new("RGB", size, "red")), fit=fit)
    assert loaded.error is None
    assert min(loaded.image.size) >= 28
    assert loaded.image.width * loaded.image.height <= 384 * 384
    assert loaded.image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "F"])
def test_reducing_in_strips_equals_reducing_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = patchwork(10, 410, 330).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    data = encode(image, "TIFF" if mode == "F" else "PNG")
    in_one_strip = load_image(data, size=50)
    monkeypatch.setattr(resize, "_STRIP_PIXELS", 410 * 20)
    in_strips = load_image(data, size=50)
    assert in_one_strip.original_size == in_strips.original_size == (410, 330)
    assert in_strips.image.tobytes() == in_one_strip.image.tobytes()


def test_a_transparent_color_stays_transparent_in_a_large_image() -> None:
    image = Image.new("RGB", (2000, 1600), (0, 255, 0))
    image.paste((255, 0, 0), (0, 0, 1000, 1600))
    for stored in (image, image.quantize(2)):
        transparent = (0, 255, 0) if stored.mode == "RGB" else stored.getpixel((1900, 9))
        loaded = load_image(encode(stored, transparency=transparent), fit="whole")
        assert loaded.notes == ("alpha_flattened",)
        assert loaded.image.getpixel((5, 5)) == (255, 0, 0)
        assert loaded.image.getpixel((loaded.image.width - 5, 5)) == (255, 255, 255)
