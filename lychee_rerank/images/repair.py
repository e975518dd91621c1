"""Whole pictures that Pillow refuses: PNGs with long texts or without an end, JPEGs without an end marker."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"gAMA", b"cHRM", b"sRGB"))
_MAX_PROFILE = 16 << 20
_END_OF_IMAGE = b"\xff\xd9"
_FILLERS = (b"\x55" * 4096, b"\xaa" * 4096)


def repair(data: bytes) -> bytes | None:
    """The same picture as a file that Pillow reads; None where that is not possible."""
    if data.startswith(_PNG_SIGNATURE):
        chunks = (_chunk(name, body) for name, body in _png_chunks(data) if name in _PIXEL_CHUNKS)
        return _PNG_SIGNATURE + b"".join(chunks) + _chunk(b"IEND", b"")
    if data.startswith(b"\xff\xd8\xff"):
        return _ended_jpeg(data)
    return None


def png_profile(data: bytes) -> bytes | None:
    """The ICC profile of a PNG, also where it is longer than the megabyte that Pillow allows."""
    for name, body in _png_chunks(data):
        if name == b"iCCP":
            try:
                return zlib.decompressobj().decompress(body[body.index(b"\0") + 2 :], _MAX_PROFILE)
            except (ValueError, zlib.error):
                return None
        if name == b"IDAT":
            break
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each whole chunk, up to the first that is damaged."""
    position = len(_PNG_SIGNATURE) if data.startswith(_PNG_SIGNATURE) else len(data)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if checksum != zlib.crc32(name + body).to_bytes(4, "big"):
            return
        yield name, body
        position += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _ended_jpeg(data: bytes) -> bytes | None:
    """With an end marker, if nothing else is missing: then what is put before the marker changes no pixel.

    Not progressive ones, which may lack whole scans.
    """
    scan = data.rstrip(b"\xff")
    ended, *padded = (_pixel_hash(scan + filler + _END_OF_IMAGE) for filler in (b"", *_FILLERS))
    return scan + _END_OF_IMAGE if ended and all(hash == ended for hash in padded) else None


def _pixel_hash(jpeg: bytes) -> bytes | None:
    """None for a progressive JPEG."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return None if image.info.get("progressive") else hashlib.blake2b(image.tobytes()).digest()
