"""A camera's RAW file, read by LibRaw: its embedded preview stands for it, or else what its sensor saw is developed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from PIL import Image

from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.formats import MAX_PIXELS, check_size
from lychee_rerank.images.kinds import has_raw_signature, is_tiff
from lychee_rerank.images.orientation import exif_orientation
from lychee_rerank.images.tiff_directory import TiffDirectory, all_directories

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rawpy import ImageSizes, RawPy

_MIN_PREVIEW_SIDE = 384  # what the model sees
# While a RAW is developed, it takes 4.5 bytes a pixel of a mosaic, and 18 where every pixel has all colors.
_MAX_LINEAR_PIXELS = 50_000_000
_MAX_PIXELS_PER_BYTE = 50  # LibRaw fills what is missing of a damaged file, which takes as long as decoding it
_MAX_DIRECTORIES = 32
# From LibRaw's flip, whose bits are 1: columns mirrored, 2: rows mirrored, 4: transposed.
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}


@dataclass(frozen=True)
class RawPicture:
    """What stands for a RAW file.

    image: a preview, not decoded yet, or developed pixels; `orientation` (EXIF, 1 to 8) says how it is to be turned.
    original_size: upright (width, height) of the sensor's picture.
    note: how `image` was made, one of LoadedImage's notes.
    """

    image: Image.Image
    orientation: int
    original_size: tuple[int, int]
    note: str


def is_camera_raw(data: bytes) -> bool:
    """By content: a signature, or a TIFF with a page as a sensor delivers it."""
    return has_raw_signature(data) or (is_tiff(data) and bool(_sensor_pages(data)))


def _sensor_pages(data: bytes) -> Sequence[TiffDirectory]:
    try:
        return [page for page in islice(all_directories(data), _MAX_DIRECTORIES) if page.is_sensor_data]
    except Exception:  # damaged, or a RAW file of another form
        return []


def open_raw(data: bytes) -> RawPicture:
    """Raises UnusableImageError."""
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes  # which developing changes
            image, note = _open_preview(raw), "embedded_preview"
            if image is None:
                _check_sensor_size(sizes, data)
                image, note = _develop(raw), "raw_developed"
    except (rawpy.LibRawIOError, rawpy.LibRawDataError) as error:
        raise UnusableImageError("truncated", detail=str(error)) from error
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise UnusableImageError("out_of_memory") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise UnusableImageError("camera_raw") from error
    orientation = _orientation(image, sizes)
    size = (sizes.width, sizes.height)
    return RawPicture(image, orientation, size[::-1] if sizes.flip & 4 else size, note)


def _open_preview(raw: RawPy) -> Image.Image | None:
    """The largest preview with its header read; None where there is none that is large enough or can be opened."""
    import rawpy

    try:
        content = raw.extract_thumb().data
        preview = Image.open(io.BytesIO(content), formats=("JPEG",)) if isinstance(content, bytes) else _image(content)
    except (rawpy.LibRawError, NotImplementedError, OSError):  # NotImplementedError: H.265, in HDR files of Canon
        return None
    check_size(*preview.size)
    large = min(preview.size) >= min(_MIN_PREVIEW_SIDE, raw.sizes.width, raw.sizes.height)
    return preview if large else None


def _check_sensor_size(sizes: ImageSizes, data: bytes) -> None:
    linear = any(page.is_linear for page in _sensor_pages(data))
    check_size(sizes.width, sizes.height, _MAX_LINEAR_PIXELS if linear else MAX_PIXELS)
    if sizes.width * sizes.height > _MAX_PIXELS_PER_BYTE * len(data):
        raise UnusableImageError("truncated")


def _develop(raw: RawPy) -> Image.Image:
    """At half size, so that nothing has to be interpolated; as bright as LibRaw makes it, in the camera's white."""
    return _image(raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0))


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    """From (height, width, 3), or 1 for gray."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _orientation(image: Image.Image, sizes: ImageSizes) -> int:
    """The camera's, unless a preview has its own or is upright already. LibRaw adds EXIF to a JPEG that has none."""
    orientation = exif_orientation(image)
    if orientation == 1:
        orientation = _ORIENTATIONS.get(sizes.flip, 1)
    turned = (image.height > image.width) != (sizes.height > sizes.width)
    return 1 if orientation >= 5 and turned else orientation
