"""Which page of a TIFF is the picture: never a reduced copy of it, and right where white is stored as zero."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass

from lychee_rerank.images.files import UnusableImageError
from lychee_rerank.images.tiff_directory import (
    DNG_VERSION,
    PHOTOMETRIC,
    TiffDirectory,
    all_directories,
    first_directory,
    put_first,
    read_directory,
    with_black_as_zero,
)

logger = logging.getLogger(__name__)

_RARE_COMPRESSION = 33000  # from here on it depends on how libtiff was built (LZMA, WebP, Zstandard, ...)
_MAX_DIRECTORIES = 32


@dataclass(frozen=True)
class TiffPicture:
    """A file that Pillow opens at the right page; `white_is_zero`: whether the decoded values are to be inverted."""

    data: bytes
    white_is_zero: bool = False


def find_picture(data: bytes) -> TiffPicture:
    """Raises UnusableImageError for what cannot be shown rightly."""
    try:
        return _find_picture(data)
    except UnusableImageError:
        raise
    except Exception as error:  # a damaged directory leaves the first page intact
        logger.debug("The pages of a TIFF cannot be read: %s", error)
        return TiffPicture(data)


def unsupported_kind(data: bytes, undecodable: bool) -> str | None:
    """The kind of the first page in words; None if its kind is no reason that it could not be opened or decoded."""
    first = first_directory(data)
    rare = first.compression >= _RARE_COMPRESSION
    if not first.area or (undecodable and not rare):
        return None
    return f"{first.description}, compression {first.compression}" if rare else first.description


def _find_picture(data: bytes) -> TiffPicture:
    page = first = first_directory(data)
    if first.is_reduced or DNG_VERSION in first.tags:
        directories = list(itertools.islice(all_directories(data), _MAX_DIRECTORIES))
        page = max([each for each in directories if not each.is_reduced] or directories, key=lambda page: page.area)
    return _page(page) if page is first else _page(read_directory(put_first(page), page.tags.offset))


def _page(page: TiffDirectory) -> TiffPicture:
    if page.is_misread:
        raise UnusableImageError("unsupported_kind", detail=page.description)
    if page.get(PHOTOMETRIC) == 0 and page.bits > 8:  # which Pillow does not invert, or does not open at all
        return TiffPicture(with_black_as_zero(page), white_is_zero=True)
    return TiffPicture(page.data)
