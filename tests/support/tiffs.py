"""TIFF files written tag by tag, for what Pillow itself does not write: reduced pages, sub-directories, sensor data."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

_SUB_DIRECTORIES = 330


@dataclass
class Page:
    """One directory: `tags` by number, each one integer, several or bytes, `strip` what StripOffsets points to."""

    tags: dict[int, int | Sequence[int]]
    strip: bytes = b""
    children: list[Page] = field(default_factory=list)
    jpeg: bytes = b""


def gray_page(values: np.ndarray, *, white_is_zero: bool = False, **tags: int) -> Page:
    """A page of 8 or 16 bits; further tags as `t254=1`."""
    height, width = values.shape
    numbers = {
        256: width,
        257: height,
        258: 8 * values.itemsize,
        259: 1,
        262: 0 if white_is_zero else 1,
        277: 1,
        278: height,
    }
    return Page(numbers | {int(name[1:]): value for name, value in tags.items()}, values.tobytes())


def rgb_page(image: Image.Image, **tags: int) -> Page:
    numbers = {256: image.width, 257: image.height, 258: (8, 8, 8), 259: 1, 262: 2, 277: 3, 278: image.height}
    return Page(numbers | {int(name[1:]): value for name, value in tags.items()}, image.convert("RGB").tobytes())


def sensor_page(width: int, height: int, **tags: int) -> Page:
    """Data of a color filter array, as in a camera's RAW file."""
    return gray_page(np.zeros((height, width), np.uint16), t262=32803, **tags)


def tiff(*pages: Page, order: str = "<", after_header: bytes = b"") -> bytes:
    data = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0) + after_header)
    _append(data, pages, order, 4)
    return bytes(data)


def _append(data: bytearray, pages: Sequence[Page], order: str, link: int) -> list[int]:
    """Writes pages one behind the other; the first one's offset goes to `link`. Returns their offsets."""
    offsets = []
    for page in pages:
        tags = dict(page.tags)
        if page.strip:
            tags |= {273: _place(data, page.strip), 279: len(page.strip)}
        if page.jpeg:
            tags |= {513: _place(data, page.jpeg), 514: len(page.jpeg)}
        if page.children:
            tags[_SUB_DIRECTORIES] = [offset for child in page.children for offset in _append(data, [child], order, -1)]
        entries = b"".join(_entry(data, number, tags[number], order) for number in sorted(tags))
        data += bytes(len(data) % 2)
        offset = len(data)
        data += struct.pack(order + "H", len(tags)) + entries + bytes(4)
        if link >= 0:
            struct.pack_into(order + "I", data, link, offset)
            link = len(data) - 4
        offsets.append(offset)
    return offsets


def _entry(data: bytearray, number: int, value: int | Sequence[int], order: str) -> bytes:
    values = [value] if isinstance(value, int) else list(value)
    if isinstance(value, bytes):
        code, kind = "B", 1
    else:
        code, kind = ("H", 3) if max(values) < 65536 and number not in (273, 279, 330, 513, 514) else ("I", 4)
    packed = struct.pack(f"{order}{len(values)}{code}", *values)
    content = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", _place(data, packed))
    return struct.pack(order + "HHI", number, kind, len(values)) + content


def _place(data: bytearray, content: bytes) -> int:
    data += bytes(len(data) % 2)
    offset = len(data)
    data += content
    return offset
