"""A camera's RAW file in TIFF form (DNG, CR2, NEF, ARW, ...): its embedded preview stands for it, if large enough."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.tiff_directory import ORIENTATION, TiffDirectory, put_first

_MIN_PREVIEW_SIDE = 384  # what the model sees


@dataclass(frozen=True)
class RawPreview:
    """`file`: a JPEG or TIFF; `orientation`: the camera's, 1 where the file tells its own; `raw_size`: upright."""

    file: bytes
    orientation: int
    raw_size: tuple[int, int]


def is_camera_raw(data: bytes, directories: Sequence[TiffDirectory]) -> bool:
    return data[8:12] == b"CR\2\0" or any(directory.is_sensor_data for directory in directories)


def find_preview(directories: Sequence[TiffDirectory]) -> RawPreview:
    """The largest preview. Raises UnusableImageError where it is too small; developing the RAW would begin here."""
    previews = [(_preview_size(directory), directory) for directory in directories if not directory.is_sensor_data]
    size, best = max(previews, key=lambda preview: min(preview[0]), default=((0, 0), directories[0]))
    width, height = max([size, *(directory.size for directory in directories)], key=math.prod)
    if min(size) < max(1, min(_MIN_PREVIEW_SIDE, width, height)):
        raise UnusableImageError("camera_raw")
    orientation = directories[0].get(ORIENTATION, 1)
    raw_size = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
    tells_its_own = best.jpeg is None and ORIENTATION in best.tags
    return RawPreview(_file(best), 1 if tells_its_own else orientation, raw_size)


def _preview_size(directory: TiffDirectory) -> tuple[int, int]:
    """(0, 0) for what cannot be opened."""
    try:
        with Image.open(io.BytesIO(_file(directory)), formats=("JPEG", "TIFF")) as image:
            return image.size
    except (OSError, ValueError):
        return 0, 0


def _file(directory: TiffDirectory) -> bytes:
    return directory.jpeg or put_first(directory)
