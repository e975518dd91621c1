"""No file raises, hangs or is refused that Pillow reads, and none comes out black or as a negative."""

from __future__ import annotations

import io
import random
import time
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from lychee_rerank.images.formats import FORMATS
from lychee_rerank.images.load import load_image, preview
from support.awkward_files import damaged, whole_files

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, about odd metadata
FILES = list(whole_files(((1, 300), (40, 30))))


def read_by_pillow(data: bytes) -> Image.Image | None:
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return image
    except Exception:
        return None


def in_gray(image: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.fit(image.convert("RGB").convert("L"), (12, 12)), dtype=float).ravel()


def test_there_are_files_of_every_kind() -> None:
    assert len(FILES) > 700
    assert len({name.split()[0] for name, _ in FILES}) >= 20


def test_whole_files_come_out_right() -> None:
    for name, data in FILES:
        loaded, image = load_image(data), read_by_pillow(data)
        assert image is not None, name
        assert loaded.problem is None, (name, loaded.problem)
        assert sorted(loaded.original_size) == sorted(image.size), name
        if image.mode in ("1", "L", "RGB", "CMYK", "YCbCr") and not image.has_transparency_data and "exif" not in name:
            expected, actual = in_gray(image), in_gray(loaded.image)
            assert expected.std() < 5 or np.corrcoef(expected, actual)[0, 1] > 0.8, name


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_are_survived_and_none_is_refused_that_pillow_reads(seed: int) -> None:
    numbers = random.Random(seed)
    for name, data in FILES[seed::2]:
        content = damaged(data, numbers)
        start = time.monotonic()
        loaded = load_image(content)
        assert time.monotonic() - start < 5, name
        assert preview(content).problem == loaded.problem, name
        if loaded.problem is not None and loaded.problem.code != "too_many_pixels":
            assert read_by_pillow(content) is None, (name, loaded.problem)
