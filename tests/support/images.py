"""Pictures built in code, with something to see in them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def patchwork(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """Coloured squares, another set for every seed."""
    squares = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The picture as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
