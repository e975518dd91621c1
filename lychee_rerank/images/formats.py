"""Which formats are opened, and why a file was refused: damage, a kind that is not supported, or no image at all."""

from __future__ import annotations

import re

from PIL import Image, UnidentifiedImageError

from lychee_rerank.images.files import UnusableImageError

MAX_PIXELS = 200_000_000
MAX_SLOW_PIXELS = 25_000_000

# All that Pillow decodes by itself, formats without a signature last. Left out: EPS (runs Ghostscript), WMF (drawn by
# Windows alone), MPEG, BUFR, GRIB and HDF5 (recognized, never decoded), FPX and MIC (need olefile), and IPTC (opens
# what it contains as any format, EPS too). JXL is there where a person installed kinds.JPEG_XL_PLUGIN.
FORMATS = tuple(
    "PNG JPEG WEBP BMP DIB GIF TIFF PSD AVIF HEIF ICO CUR ICNS JPEG2000 PPM QOI DDS PCX DCX SGI SUN XBM XPM MSP FLI "
    "PIXAR FITS FTEX GBR BLP MCIDAS XVTHUMB IM IMT PCD SPIDER TGA JXL".split()
)
SLOW_FORMATS = frozenset("QOI DDS BLP XPM FITS".split())  # decoded in Python, up to a second a megapixel

_SIGNATURES = re.compile(
    rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|8BPS|II[*+]\0|MM\0\*|....ftyp(hei|hev|avi|mif|msf)", re.S
)
_UNSUPPORTED = {
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "Photoshop PSB": rb"8BPS\x00\x02",
    "SVG": rb"\s*(<\?xml[^<]*)?(<!--.*?-->\s*|<!DOCTYPE[^<]*)*<svg\b",
}
_PILLOW_LACKS = re.compile(r"un(supported|implemented)|not (yet )?supported|unknown (pixel|data org|compression)", re.I)


def check_size(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Raises UnusableImageError for a size that no picture has, or that takes too long or too much memory."""
    if width < 1 or height < 1:
        raise UnusableImageError("bad_dimensions", width=width, height=height)
    if width * height > limit:
        raise UnusableImageError("too_many_pixels", width=width, height=height, limit=limit)


def refusal(error: Exception, data: bytes) -> UnusableImageError:
    """The reason for a person, given what Pillow raised on these bytes."""
    if isinstance(error, UnusableImageError):
        return error
    if isinstance(error, MemoryError):
        return UnusableImageError("out_of_memory")
    # The warning is raised under `-W error`.
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return UnusableImageError("too_many_pixels", limit=MAX_PIXELS)
    head = data[:1000].removeprefix(b"\xef\xbb\xbf")
    for kind, signature in _UNSUPPORTED.items() if isinstance(error, UnidentifiedImageError) else ():
        if re.match(signature, head, re.S):
            return UnusableImageError("unsupported_kind", detail=kind)
    if isinstance(error, NotImplementedError) or _PILLOW_LACKS.search(str(error)):
        return UnusableImageError("unsupported_kind", detail=str(error).removeprefix("Unsupported "))
    if isinstance(error, UnidentifiedImageError):
        return UnusableImageError("truncated" if _SIGNATURES.match(head) else "not_an_image")
    return UnusableImageError("truncated", detail=str(error))
