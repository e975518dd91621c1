"""Photos to measure with."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image


def random_photos(count: int, first_seed: int = 0) -> Iterator[bytes]:
    """JPEG files of 1200 x 900 pixels, no two alike."""
    for seed in range(first_seed, first_seed + count):
        colors = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(colors).resize((1200, 900), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        yield file.getvalue()
