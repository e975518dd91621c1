"""Test images built in code."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def patchwork(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """Colored squares, different for every seed."""
    squares = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST)


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def looks_like(image: Image.Image, expected: Image.Image) -> bool:
    """Whether both show the same, whatever their sizes."""
    small = [np.asarray(each.convert("RGB").resize((24, 16)), dtype=float) for each in (image, expected)]
    return float(np.abs(small[0] - small[1]).mean()) < 12
