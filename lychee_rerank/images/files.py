"""Image files: find them, read them, identify them by content."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natsort import natsorted, ns

from lychee_rerank.errors import PictureProblem

logger = logging.getLogger(__name__)

MAX_BYTES = 100 * 1024 * 1024
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .bmp .dib .gif .tif .tiff .psd .avif .avifs .heic .heif .hif".split()
)


class UnusableImageError(Exception):
    """Raised within this package for a file without a usable image; `load_image` turns it into `.problem`."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.problem = PictureProblem(code, **facts)


@dataclass(frozen=True)
class EncodedImage:
    """An image file that has been read once: `data` is decoded, hashed and scored, whatever becomes of the file.

    content_hash: identity of the bytes; equal files have equal hashes, whatever they are called.
    """

    name: str
    data: bytes
    content_hash: str


def find_images(folder: str | Path) -> list[Path]:
    """Every image file below a folder, in natural order, without hidden ones. Unreadable folders are logged."""
    matches = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: logger.warning("Left out: %s", error)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        matches += [Path(parent, name) for name in names if not name.startswith(".") and has_image_suffix(name)]
    return natsorted(matches, key=lambda path: path.parts, alg=ns.IGNORECASE)


def has_image_suffix(path: str | Path) -> bool:
    """Whether the file name ends like an image's. Only for choosing files: images are opened by content."""
    return Path(path).suffix.lower() in SUFFIXES


def read_bytes(source: bytes | str | Path) -> bytes:
    """The encoded bytes, at least one and at most MAX_BYTES. Raises UnusableImageError."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size > MAX_BYTES:
                raise UnusableImageError("too_many_bytes", size=size, limit=MAX_BYTES)
            file.seek(0)
            data = file.read(size)
    except FileNotFoundError as error:
        raise UnusableImageError("not_found") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise UnusableImageError("unreadable", detail=getattr(error, "strerror", None) or str(error)) from error
    if not data:
        raise UnusableImageError("empty")
    return data


def read_image(source: bytes | str | Path | EncodedImage) -> EncodedImage:
    """The image file's bytes with their identity; what was read before is returned as it is.

    Raises UnusableImageError.
    """
    if isinstance(source, EncodedImage):
        return source
    data = read_bytes(source)
    return EncodedImage(default_name(source), data, content_hash(data))


def default_name(source: bytes | str | Path | EncodedImage) -> str:
    """The file's name; "picture" for bytes, which have none."""
    if isinstance(source, EncodedImage):
        return source.name
    return "picture" if isinstance(source, bytes) else Path(source).name


def content_hash(data: bytes) -> str:
    """The identity of an image file: equal bytes give equal hashes, whatever the file is called."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
