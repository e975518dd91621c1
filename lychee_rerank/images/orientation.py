"""EXIF orientation: how an image's pixels are turned and mirrored against how it is seen."""

from __future__ import annotations

import logging

from PIL import Image

logger = logging.getLogger(__name__)

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1 (upright) where EXIF is missing or broken."""
    if image.format == "JXL" and not getattr(image, "jpeg", False):  # turned by the decoder, but for recompressed JPEGs
        return 1
    try:
        orientation: int = image.getexif().get(0x0112, 1)
        return orientation if orientation in _TRANSPOSE else 1
    except Exception as error:  # says nothing about the pixels
        logger.debug("EXIF cannot be read: %s", error)
        return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as it is seen, given its EXIF orientation (1 to 8)."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation > 1 else image
