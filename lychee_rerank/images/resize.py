"""From any number of pixels to the model's 384 x 384."""

from __future__ import annotations

import math
from typing import Literal

from PIL import Image, ImageOps

Fit = Literal["crop", "whole"]
_MIN_SIDE = 28  # one image token; anything thinner would not reach the model
_STRIP_PIXELS = 4_000_000


def resize(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    """fit="crop": the centered square, `size` x `size`. fit="whole": everything, aspect kept, at most size² pixels."""
    if fit == "crop":
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    scale = math.sqrt(size * size / (image.width * image.height))
    width = min(max(round(image.width * scale), _MIN_SIDE), size * size // _MIN_SIDE)
    height = min(max(round(image.height * scale), _MIN_SIDE), size * size // width)
    return image.resize((width, max(height, _MIN_SIDE)), Image.Resampling.BICUBIC)


def reduce_in_strips(image: Image.Image, min_side: int) -> Image.Image:
    """A large image averaged down by a whole factor; the short side keeps at least 2 x `min_side` pixels.

    Strip by strip, because at 200 megapixels one copy of the whole in another mode takes 0.8 GB.
    """
    factor = min(image.size) // (2 * min_side)
    if factor < 2:
        return image
    width, height = image.size
    rows = factor * max(1, _STRIP_PIXELS // (width * factor))
    crops = (image.crop((0, top, width, min(top + rows, height))) for top in range(0, height, rows))
    strips = [to_reducible_mode(crop).reduce(factor) for crop in crops]
    reduced = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)))
    for index, strip in enumerate(strips):
        reduced.paste(strip, (0, index * rows // factor))
    return reduced


def to_reducible_mode(image: Image.Image) -> Image.Image:
    """The same image in a mode whose neighboring values may be averaged: no palette, no transparent color."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.has_transparency_data and image.mode not in ("RGBA", "La"):
        return image.convert("RGBA")
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image
