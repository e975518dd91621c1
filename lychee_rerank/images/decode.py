"""Encoded bytes become upright RGB pixels, whatever the file is called."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import threading
from dataclasses import dataclass, replace

from PIL import Image, UnidentifiedImageError

from lychee_rerank.images.camera_raw import is_camera_raw, open_raw
from lychee_rerank.images.code_points import read_code_points, to_srgb
from lychee_rerank.images.color import to_rgb
from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.formats import FORMATS, MAX_PIXELS, MAX_SLOW_PIXELS, SLOW_FORMATS, check_size, refusal
from lychee_rerank.images.kinds import JPEG_XL_PLUGIN, is_tiff
from lychee_rerank.images.orientation import exif_orientation, upright
from lychee_rerank.images.psd import merged_picture, with_8_bits
from lychee_rerank.images.repair import png_profile, repair
from lychee_rerank.images.resize import reduce_in_strips
from lychee_rerank.images.tiff import find_picture, unsupported_kind

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedImage:
    """`image` may be reduced; `original_size` is the full (width, height), upright; `notes` are LoadedImage's."""

    image: Image.Image
    original_size: tuple[int, int]
    notes: tuple[str, ...]


def decode_upright_rgb(data: bytes, min_side: int) -> DecodedImage:
    """The first frame, reduced to no less than `min_side` pixels on its short side. Raises UnusableImageError."""
    try:
        with _pillow_limit:
            return _decode_file(data, min_side)
    except Exception as error:  # on damaged files Pillow's decoders raise nearly anything
        raise refusal(error, data) from error


def _decode_file(data: bytes, min_side: int) -> DecodedImage:
    if is_camera_raw(data):
        return _decode_raw(data, min_side)
    if is_tiff(data):
        return _decode_tiff(data, min_side)
    if reduced := with_8_bits(data):
        with open_image(reduced) as image:
            decoded = _to_upright_rgb(image, reduced, min_side)
        return replace(decoded, notes=(*decoded.notes, "high_bit_depth_reduced")) if data[23] > 8 else decoded
    try:
        with open_image(data) as image:
            return _to_upright_rgb(image, data, min_side)
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, UnidentifiedImageError) or (repaired := repair(data)) is None:
            raise
        logger.debug("Read after a repair: %s", error)
        with open_image(repaired) as image:
            return _to_upright_rgb(image, data, min_side)


def _decode_raw(data: bytes, min_side: int) -> DecodedImage:
    raw = open_raw(data)
    with raw.image as image:
        decoded = _to_upright_rgb(image, b"", min_side, raw.orientation)
    return replace(decoded, original_size=raw.original_size, notes=(*decoded.notes, raw.note))


def _decode_tiff(data: bytes, min_side: int) -> DecodedImage:
    picture = find_picture(data)
    try:
        with open_image(picture.data) as image:
            return _to_upright_rgb(image, data, min_side, white_is_zero=picture.white_is_zero)
    except OSError as error:
        if kind := unsupported_kind(picture.data, undecodable=not isinstance(error, UnidentifiedImageError)):
            raise UnusableImageError("unsupported_kind", detail=kind) from error
        raise


def open_image(data: bytes) -> Image.Image:
    """The image with its header read and its size checked, before any pixel is decoded."""
    _register_plugins()
    with _pillow_limit:
        image = Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
    check_size(*image.size, min(MAX_PIXELS, MAX_SLOW_PIXELS) if image.format in SLOW_FORMATS else MAX_PIXELS)
    return image


def _register_plugins() -> None:
    """What Pillow does not read by itself. Registering again changes nothing."""
    from pillow_heif import register_heif_opener

    Image.init()
    register_heif_opener(thumbnails=False)
    if JPEG_XL_PLUGIN:
        with contextlib.suppress(ImportError):
            importlib.import_module(JPEG_XL_PLUGIN)


def _to_upright_rgb(
    image: Image.Image, data: bytes, min_side: int, orientation: int | None = None, white_is_zero: bool = False
) -> DecodedImage:
    """`data` is the file; `orientation` (EXIF) and `white_is_zero` where they are not what the image says itself."""
    size, animated = image.size, _has_more_frames(image)
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB", (2 * min_side, 2 * min_side))
    image.load()
    orientation = orientation or exif_orientation(image)
    profile = image.info.get("icc_profile") or png_profile(data)
    pixels = image.convert("RGB") if image.mode == "P" and image.palette is None else merged_picture(image)  # ICNS, PSD
    rgb, color_note = to_rgb(reduce_in_strips(pixels, min_side), profile, white_is_zero)
    if not profile and (colors := read_code_points(image, data)):
        rgb, hdr_note = to_srgb(rgb, colors)
        color_note = hdr_note or color_note
    notes = ("exif_rotated" if orientation > 1 else None, "first_frame" if animated else None, color_note)
    upright_size = size[::-1] if orientation >= 5 else size
    return DecodedImage(upright(rgb, orientation), upright_size, tuple(note for note in notes if note))


def _has_more_frames(image: Image.Image) -> bool:
    """Whether this is an animation. Layers of a PSD and further views of an MPO are not frames.

    Frames are not counted: a file of a few megabytes can hold a million, and `n_frames` takes minutes on it.
    """
    try:
        return image.format not in ("MPO", "PSD") and getattr(image, "is_animated", False)
    except Exception as error:  # a broken second frame leaves the first intact
        logger.debug("Further frames cannot be read: %s", error)
        return False


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
