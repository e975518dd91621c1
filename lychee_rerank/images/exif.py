"""What a camera wrote into an image file: when, with what and how it was taken, and on request where.

Only headers are read, no pixels. Tags as in Exif 3.0 (CIPA DC-008), in JPEG, TIFF, PNG, WebP, AVIF, HEIF and cameras'
RAW files: most are TIFF, RAF embeds a JPEG, and CR3 has a box for each directory (github.com/lclevy/canon_cr3).
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from lychee_rerank.images.decode import open_image

logger = logging.getLogger(__name__)

Tags = Mapping[int, Any]
_MAX_LENGTH = 100  # characters of a text; what is longer comes from no camera
_TIFF = re.compile(rb"II(\*\0|RO|RS|U\0)|MM(\0\*|OR)")  # or ORF or RW2, which differ from it in these bytes only


@dataclass(frozen=True)
class ExifFacts:
    """taken: by the camera's clock, which knows no time zone. camera: maker and model. exposure: such as
    "50 mm, f/1.8, 1/200 s, ISO 100". has_place: whether `read_place` would tell where.

    Texts are printable and short, and "" where there is none; they come from the file, so they are not markup.
    """

    taken: datetime | None = None
    camera: str = ""
    lens: str = ""
    exposure: str = ""
    has_place: bool = False


def read_exif(data: bytes) -> ExifFacts:
    """What an image file says; nothing where it has no EXIF or a damaged one. Raises nothing."""
    try:
        main, details, position = _directories(data)
        return ExifFacts(
            _time(details.get(Base.DateTimeOriginal)) or _time(main.get(Base.DateTime)),
            _camera(_text(main.get(Base.Make)), _text(main.get(Base.Model))),
            _text(details.get(Base.LensModel)),
            ", ".join(_exposure(details)),
            _coordinates(position) is not None,
        )
    except Exception as error:  # on damaged files Pillow's parser raises nearly anything
        logger.debug("EXIF cannot be read: %s", error)
        return ExifFacts()


def read_place(data: bytes) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east positive; None where the file does not tell. Raises nothing."""
    try:
        return _coordinates(_directories(data)[2])
    except Exception as error:  # as above
        logger.debug("EXIF cannot be read: %s", error)
        return None


def _directories(data: bytes) -> tuple[Tags, Tags, Tags]:
    """The main directory, that of the photograph, and that of its position on earth."""
    if data[4:12] == b"ftypcrx ":
        main, details, position = (_tiff_exif(_box(data, name)) for name in (b"CMT1", b"CMT2", b"CMT4"))
        return main, details, position
    exif = _exif(data)
    return exif, exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)


def _exif(data: bytes) -> Image.Exif:
    if data.startswith(b"FUJIFILMCCD-RAW"):
        offset, length = struct.unpack(">II", data[84:92])
        data = data[offset : offset + length]
    if _TIFF.match(data):
        return _tiff_exif((b"II*\0" if data.startswith(b"I") else b"MM\0*") + data[4:])
    with open_image(data) as image:
        return Image.Image.getexif(image)  # that of a PNG would decode its pixels


def _tiff_exif(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(data)
    return exif


def _box(data: bytes, name: bytes) -> bytes:
    """The content of a box of an ISO base media file."""
    start = data.index(name)
    return data[start + 4 : start - 4 + int.from_bytes(data[start - 4 : start])]


def _time(value: object) -> datetime | None:
    """None also for the zeros or blanks of a camera whose clock was never set."""
    try:
        return datetime.strptime(_text(value)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _camera(maker: str, model: str) -> str:
    """Both, without the maker twice: "NIKON CORPORATION" makes the "NIKON D850"."""
    repeats = any(model.lower().startswith(word) for word in maker.lower().split())
    return model if repeats else f"{maker} {model}".strip()


def _exposure(tags: Tags) -> Iterator[str]:
    """The parts of an exposure, as photographers write them."""
    if length := _number(tags.get(Base.FocalLength)):
        yield f"{length:.4g} mm"
    if aperture := _number(tags.get(Base.FNumber)):
        yield f"f/{aperture:.2g}"
    if seconds := _number(tags.get(Base.ExposureTime)):
        yield f"1/{1 / seconds:.0f} s" if seconds < 0.3 else f"{seconds:.4g} s"
    if speed := _number(tags.get(Base.ISOSpeedRatings)):
        yield f"ISO {speed:.0f}"


def _coordinates(tags: Tags) -> tuple[float, float] | None:
    """None also for zeros, which are written without reception."""
    try:
        latitude = _degrees(tags.get(GPS.GPSLatitude), tags.get(GPS.GPSLatitudeRef), "S")
        longitude = _degrees(tags.get(GPS.GPSLongitude), tags.get(GPS.GPSLongitudeRef), "W")
    except (TypeError, ValueError):
        return None
    is_on_earth = abs(latitude) <= 90 and abs(longitude) <= 180  # neither is, where one is not a number
    return (latitude, longitude) if is_on_earth and (latitude or longitude) else None


def _degrees(value: Any, reference: object, negative: str) -> float:
    degrees, minutes, seconds = map(float, value)
    size = degrees + minutes / 60 + seconds / 3600
    return -size if _text(reference).upper() == negative else size


def _number(value: Any) -> float | None:
    """A positive number, the first if there are several; None for anything else."""
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if 0 < number < 1e7 else None


def _text(value: object) -> str:
    """Without control characters, and without what is behind the end that some cameras mark."""
    text = value.partition("\0")[0] if isinstance(value, str) else ""
    return "".join(char for char in text if char.isprintable()).strip()[:_MAX_LENGTH]
