"""Encoded bytes become upright RGB pixels, whatever the file is called."""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from lychee_rerank.images.color import to_rgb
from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.resize import reduce_in_strips

logger = logging.getLogger(__name__)

MAX_PIXELS = 200_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PSD", "AVIF", "HEIF")
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodedImage:
    """`image` may be reduced; `original_size` is the full (width, height), upright; `notes` are LoadedImage's."""

    image: Image.Image
    original_size: tuple[int, int]
    notes: tuple[str, ...]


def decode_upright_rgb(data: bytes, min_side: int) -> DecodedImage:
    """The first frame, reduced to no less than `min_side` pixels on its short side. Raises UnusableImageError."""
    try:
        with _pillow_limit, open_image(data) as image:
            return _to_upright_rgb(image, min_side)
    except UnusableImageError:
        raise
    except MemoryError as error:
        raise UnusableImageError("out_of_memory") from error
    except UnidentifiedImageError as error:
        raise UnusableImageError("not_an_image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # the warning under `-W error`
        raise UnusableImageError("too_many_pixels", limit=MAX_PIXELS) from error
    except Exception as error:  # on damaged files Pillow's decoders raise nearly anything
        raise UnusableImageError("truncated", detail=str(error)) from error


def open_image(data: bytes) -> Image.Image:
    """The image with its header read and its size checked, before any pixel is decoded."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)  # for HEIC and HEIF; registering again changes nothing
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width < 1 or height < 1:
        raise UnusableImageError("bad_dimensions", width=width, height=height)
    if width * height > MAX_PIXELS:
        raise UnusableImageError("too_many_pixels", width=width, height=height, limit=MAX_PIXELS)
    return image


def _to_upright_rgb(image: Image.Image, min_side: int) -> DecodedImage:
    size, animated = image.size, _has_more_frames(image)
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", (2 * min_side, 2 * min_side))
    image.load()
    orientation = _exif_orientation(image)
    rgb, color_note = to_rgb(reduce_in_strips(image, min_side), image.info.get("icc_profile"))
    notes = ("exif_rotated" if orientation > 1 else None, "first_frame" if animated else None, color_note)
    upright_size = size[::-1] if orientation >= 5 else size
    return DecodedImage(transpose_exif(rgb, orientation), upright_size, tuple(note for note in notes if note))


def _has_more_frames(image: Image.Image) -> bool:
    """Whether this is an animation. Layers of a PSD and further views of an MPO are not frames.

    Frames are not counted: a file of a few megabytes can hold a million, and `n_frames` takes minutes on it.
    """
    try:
        return image.format not in ("MPO", "PSD") and getattr(image, "is_animated", False)
    except Exception as error:  # a broken second frame leaves the first intact
        logger.debug("Further frames cannot be read: %s", error)
        return False


def _exif_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where EXIF is missing or broken."""
    try:
        orientation: int = image.getexif().get(0x0112, 1)
        return orientation if orientation in _TRANSPOSE else 1
    except Exception as error:  # says nothing about the pixels
        logger.debug("EXIF cannot be read: %s", error)
        return 1


def transpose_exif(image: Image.Image, orientation: int) -> Image.Image:
    """The image upright, given its EXIF orientation (1 to 8)."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation > 1 else image


class _PillowLimit:
    """Raises Pillow's pixel limit to MAX_PIXELS while any thread is decoding.

    Pillow warns above 89 megapixels and refuses above 179. Its limit is one global, `Image.MAX_IMAGE_PIXELS`, read at
    each check, so the first thread to enter raises it and the last to leave restores it. None (no limit) would let
    through TIFF tiles larger than their image. Filtering the warning is not thread-safe and does not lift the refusal.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                self._saved = Image.MAX_IMAGE_PIXELS
                Image.MAX_IMAGE_PIXELS = max(self._saved or 0, MAX_PIXELS)
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                Image.MAX_IMAGE_PIXELS = self._saved


_pillow_limit = _PillowLimit()
