"""The directories of a TIFF: one describes each page, and may have sub-directories for other sizes of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

PHOTOMETRIC, DNG_VERSION = 262, 50706
_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_SAMPLES, _PLANAR, _SAMPLE_FORMAT = 277, 284, 339
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_DIRECTORIES, _CR2_SLICES = 254, 255, 330, 50752
_REDUCED_OR_MASK, _OLD_REDUCED = 1 | 4, 2  # bits of NewSubfileType; a value of SubfileType
_MOSAIC, _LINEAR = 32803, 34892  # PhotometricInterpretation: color filter array, linear raw
_MAX_CHILDREN = 32
_COLORS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}


@dataclass(frozen=True)
class TiffDirectory:
    """`tags` as Pillow reads them; any property may raise on a damaged file."""

    data: bytes
    tags: ImageFileDirectory_v2

    def get(self, tag: int, default: Any = None) -> Any:
        return self.tags.get(tag, default)

    @property
    def size(self) -> tuple[int, int]:
        return self.get(_WIDTH, 0), self.get(_HEIGHT, 0)

    @property
    def area(self) -> int:
        return int(self.size[0] * self.size[1])

    @property
    def bits(self) -> int:
        return int(max(self.get(_BITS, (1,))))

    @property
    def compression(self) -> int:
        return int(self.get(_COMPRESSION, 1))

    @property
    def is_reduced(self) -> bool:
        """Whether this is marked as a smaller version, or a mask, of another page."""
        return bool(self.get(_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK) or self.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED

    @property
    def is_sensor_data(self) -> bool:
        return self.get(PHOTOMETRIC) in (_MOSAIC, _LINEAR) or _CR2_SLICES in self.tags

    @property
    def is_linear(self) -> bool:
        """Whether every pixel of the sensor's data has all colors."""
        return bool(self.get(PHOTOMETRIC) == _LINEAR)

    @property
    def is_misread(self) -> bool:
        """Whether Pillow gives wrong pixels: 16-bit colors in separate planes, big-endian numbers compressed."""
        if self.bits <= 8:
            return False
        if self.compression == 1:
            return bool(self.get(_PLANAR, 1) == 2 and self.get(_SAMPLES, 1) > 1)
        return bool(self.tags.prefix == b"MM" and max(self.get(_SAMPLE_FORMAT, (1,))) > 1)

    @property
    def description(self) -> str:
        return f"TIFF, {_COLORS.get(self.get(PHOTOMETRIC), 'unknown colors')}, {self.bits} bits a channel"

    @property
    def children(self) -> list[TiffDirectory]:
        offsets = self.get(_SUB_DIRECTORIES, ())
        offsets = offsets if isinstance(offsets, tuple) else (offsets,)
        return [read_directory(self.data, offset) for offset in offsets[:_MAX_CHILDREN]]


def first_directory(data: bytes) -> TiffDirectory:
    return read_directory(data, _empty_directory(data).next)


def read_directory(data: bytes, offset: int) -> TiffDirectory:
    """Without any tag where the file ends before it."""
    tags, file = _empty_directory(data), io.BytesIO(data)
    file.seek(offset)
    tags.load(file)
    return TiffDirectory(data, tags)


def all_directories(data: bytes) -> Iterator[TiffDirectory]:
    """The pages in order, each followed by its sub-directories."""
    offset, seen = _empty_directory(data).next, set()
    while offset and offset not in seen:
        seen.add(offset)
        directory = read_directory(data, offset)
        if not directory.tags:
            return
        yield directory
        yield from directory.children
        offset = directory.tags.next


def put_first(directory: TiffDirectory) -> bytes:
    """The file with this directory as its first page."""
    data, size = directory.data, 8 if _is_big(directory.data) else 4
    offset: int = directory.tags.offset
    return data[:size] + offset.to_bytes(size, _byte_order(data)) + data[2 * size :]


def with_black_as_zero(directory: TiffDirectory) -> bytes:
    """The file with this page's photometric interpretation, white is zero, changed to black is zero."""
    data, big = directory.data, _is_big(directory.data)
    order, entry_size, value = _byte_order(data), 20 if big else 12, 12 if big else 8
    entry = directory.tags.offset + (8 if big else 2)
    while data[entry : entry + 2] != PHOTOMETRIC.to_bytes(2, order):
        entry += entry_size
    return data[: entry + value] + (1).to_bytes(2, order) + data[entry + value + 2 :]


def _empty_directory(data: bytes) -> ImageFileDirectory_v2:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # which registers a format when it is imported

    return ImageFileDirectory_v2(data[: 16 if _is_big(data) else 8])


def _is_big(data: bytes) -> bool:
    return b"+" in data[2:4]


def _byte_order(data: bytes) -> Literal["little", "big"]:
    return "little" if data.startswith(b"I") else "big"
