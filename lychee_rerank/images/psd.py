"""Photoshop files of 16 bits a channel, which Pillow does not read, become files of 8 bits, which it does.

Not by psd-tools, which fills what is missing of a damaged file with black and says nothing.
"""

from __future__ import annotations

import struct

from PIL import Image

from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.formats import check_size

_HEADER = struct.Struct(">4sH6xHIIHH")
_MAX_CHANNELS = 4  # more than colors and transparency are not shown
_MERGED_IMAGE_FLAG = 1057  # image resource "version info": whether the file holds the merged picture


def with_8_bits(data: bytes) -> bytes:
    """The file with the high bytes of its merged picture and without layers; other files as they are."""
    if not data.startswith(b"8BPS\0\1") or len(data) < _HEADER.size:
        return data
    signature, version, channels, height, width, depth, mode = _HEADER.unpack_from(data)
    if depth == 32:
        raise UnusableImageError("unsupported_kind", detail="PSD, 32 bits a channel")
    if depth != 16:
        return data
    check_size(width, height)
    layers = _section_end(data, _section_end(data, _HEADER.size))
    pixels = _section_end(data, layers)
    compression = data[pixels : pixels + 2]
    rows = height * min(channels, _MAX_CHANNELS)
    values = data[pixels + 2 : pixels + 2 + 2 * width * rows]
    if compression == b"\0\1":  # packed rows behind a table of their lengths
        packed = data[pixels + 2 + 2 * height * channels :]
        values = Image.frombytes("L", (2 * width, rows), packed, "packbits", "L").tobytes()
    elif compression != b"\0\0":
        raise UnusableImageError("unsupported_kind", detail="PSD with ZIP compression")
    header = _HEADER.pack(signature, version, channels, height, width, 8, mode)
    return header + data[_HEADER.size : layers] + bytes(6) + values[::2]


def _section_end(data: bytes, start: int) -> int:
    return start + 4 + int.from_bytes(data[start : start + 4], "big")


def check_merged_image(image: Image.Image) -> None:
    """Refuses a file saved without its merged picture, in whose place there is one plain color."""
    for number, _, content in getattr(image, "resources", ()):
        if number == _MERGED_IMAGE_FLAG and content[4:5] == b"\0" and _is_plain(image):
            raise UnusableImageError("unsupported_kind", detail="PSD saved without “Maximize compatibility”")


def _is_plain(image: Image.Image) -> bool:
    return all(low == high for low, high in (band.getextrema() for band in image.split()))
