"""Photoshop files that Pillow does not read, or misreads, become such as it reads: 8 bits a channel, rows not packed.

Not by psd-tools, which fills what is missing of a damaged file with black and says nothing.
"""

from __future__ import annotations

import struct

from PIL import Image

from lychee_rerank.images.code_points import encode_srgb
from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.formats import MAX_PIXELS, MAX_SLOW_PIXELS, check_size

_HEADER = struct.Struct(">4sH6xHIIHH")
_GRAY, _MULTICHANNEL = 1, 7  # color modes
_MAX_CHANNELS = 4  # more than colors and transparency are not shown
_LIGHT_CHANNELS = {_GRAY: 1, 3: 3}  # of gray and RGB, which are all that have 32 bits
# Numbers of channels, by color mode, with which Pillow finds the packed rows (it reads a table of their lengths).
_PILLOW_CHANNELS = {_GRAY: (1,), 2: (1,), 3: (3, 4), 4: (4,), 8: (1,), 9: (3,)}
_MERGED_IMAGE_FLAG = 1057  # image resource "version info": whether the file holds the merged picture
_ALPHA_IDENTIFIERS = 1053  # image resource: a number for each further channel, 0 for transparency


def with_8_bits(data: bytes) -> bytes | None:
    """The file with its merged picture in 8 bits and without layers; None for what Pillow reads by itself."""
    if not data.startswith(b"8BPS\0\1") or len(data) < _HEADER.size:
        return None
    signature, version, channels, height, width, depth, mode = _HEADER.unpack_from(data)
    layers = _section_end(data, _section_end(data, _HEADER.size))
    pixels = _section_end(data, layers)
    compression = data[pixels : pixels + 2]
    _check_kind(depth, mode, compression)
    if depth == 8 and (compression == b"\0\0" or channels in _PILLOW_CHANNELS.get(mode, ())):
        return None
    check_size(width, height, MAX_SLOW_PIXELS if depth == 32 else MAX_PIXELS)
    row_size, rows = (width * depth + 7) // 8, height * min(channels, _MAX_CHANNELS)
    if compression == b"\0\1":  # packed rows behind a table of their lengths
        packed = data[pixels + 2 + 2 * height * channels :]
        values = Image.frombytes("L", (row_size, rows), packed, "packbits", "L").tobytes()
    else:
        values = data[pixels + 2 : pixels + 2 + row_size * rows]
    resources = data[_HEADER.size : layers]
    if depth == 1:  # in which 1 is black
        mode, values = _GRAY, Image.frombytes("1", (width, height), values, "raw", "1;I").convert("L").tobytes()
    elif depth == 16:
        values = values[::2]
    elif depth == 32:
        resources = _without_profile(resources)
        values = _from_light(values, width * height * _LIGHT_CHANNELS[mode])
    return _HEADER.pack(signature, version, channels, height, width, 8, mode) + resources + bytes(6) + values


def _check_kind(depth: int, mode: int, compression: bytes) -> None:
    if mode == _MULTICHANNEL:
        raise UnusableImageError("unsupported_kind", detail="PSD, multichannel")
    if depth not in (1, 8, 16, 32) or (depth == 32 and mode not in _LIGHT_CHANNELS):
        raise UnusableImageError("unsupported_kind", detail=f"PSD, {depth} bits a channel")
    if compression in (b"\0\2", b"\0\3"):
        raise UnusableImageError("unsupported_kind", detail="PSD with ZIP compression")


def _without_profile(resources: bytes) -> bytes:
    """With the ICC profile, which is one for linear light, under a number that means nothing."""
    return resources.replace(b"8BIM\x04\x0f", b"8BIM\0\1")


def _from_light(values: bytes, color_count: int) -> bytes:
    """Linear light as sRGB; what is brighter than white (1) becomes white. Transparency follows the colors."""
    import numpy as np  # which adds warning filters when it is imported

    light = np.nan_to_num(np.frombuffer(values[: len(values) // 4 * 4], ">f4"))
    alpha = (np.clip(light[color_count:], 0, 1) * 255 + 0.5).astype(np.uint8)
    return bytes(encode_srgb(light[:color_count])) + bytes(alpha)


def _section_end(data: bytes, start: int) -> int:
    return start + 4 + int.from_bytes(data[start : start + 4], "big")


def merged_picture(image: Image.Image) -> Image.Image:
    """A PSD's picture without the selection that a person saved with it. Other images are returned as they are.

    Raises UnusableImageError for a file saved without its merged picture, in whose place there is one plain color.
    """
    resources = {number: content for number, _, content in getattr(image, "resources", ())}
    if resources.get(_MERGED_IMAGE_FLAG, b"")[4:5] == b"\0" and _is_plain(image):
        raise UnusableImageError("unsupported_kind", detail="PSD saved without “Maximize compatibility”")
    is_selection = any(resources.get(_ALPHA_IDENTIFIERS, b"")[:4])
    return image.convert("RGB") if is_selection and image.mode == "RGBA" else image


def _is_plain(image: Image.Image) -> bool:
    return all(low == high for low, high in (band.getextrema() for band in image.split()))
