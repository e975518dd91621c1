"""Bytes or path -> LoadedImage: decoded, upright, RGB, 384 x 384, or a grey stand-in with the reason. No torch, no
page.

Pictures are opened by content, never by file name, and only as one of the formats listed here. Nothing raises for a
bad picture.
"""

from __future__ import annotations

import functools
import hashlib
import io
import logging
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from natsort import natsorted, ns
from PIL import Image, ImageOps, UnidentifiedImageError

from lychee_rerank.errors import PictureProblem

logger = logging.getLogger(__name__)

Fit = Literal["crop", "whole"]
MAX_BYTES = 100 * 1024 * 1024
MAX_PIXELS = 200_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PSD", "AVIF", "HEIF")
SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .bmp .dib .gif .tif .tiff .psd .avif .avifs .heic .heif .hif".split()
)
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow refuses twice this while opening; what lies between is refused below
warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata is no news to the person
_SHORTEST_SIDE = 28  # one image token; anything thinner would not reach the model
_HIGH_BIT_DEPTH = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_WHITE = (255, 255, 255, 255)
_STRIP_PIXELS = 4_000_000


@dataclass(frozen=True)
class LoadedImage:
    """One picture as the model gets it.

    `image` is RGB, `original_size` (width, height) as stored upright, `notes` codes of what was done ("exif_rotated",
    "alpha_flattened", "first_frame", "cmyk_converted", "high_bit_depth_reduced"), `problem` why there is only a grey
    stand-in (None for a good picture), `content_hash` the identity of the encoded bytes ("" where they could not be
    read), and `key` that of the prepared picture ("" for a stand-in), by which a model may keep what it computed.
    """

    name: str
    image: Image.Image
    original_size: tuple[int, int]
    notes: tuple[str, ...] = ()
    problem: PictureProblem | None = None
    content_hash: str = ""
    key: str = ""

    @property
    def error(self) -> str | None:
        """What is wrong with the picture, in one English sentence; None for a good one."""
        return None if self.problem is None else str(self.problem)


@dataclass(frozen=True)
class Preview:
    """A picture for the page: a small JPEG upright (None for one that cannot be read), its full size in pixels and in
    bytes.
    """

    thumbnail: bytes | None
    original_size: tuple[int, int]
    bytes: int
    content_hash: str
    notes: tuple[str, ...] = ()
    problem: PictureProblem | None = None


def load_image(
    source: bytes | str | Path, *, name: str | None = None, size: int = 384, fit: Fit = "crop"
) -> LoadedImage:
    """Decode one picture for the model; whatever is wrong with it ends up in `.problem`, nothing is raised.

    fit="crop": short side to `size`, then the centre `size` x `size`. fit="whole": the whole picture, aspect kept,
    within the same number of pixels. `name` defaults to the file's name.
    """
    name = name or (Path(source).name if not isinstance(source, bytes) else "picture")
    digest = ""
    try:
        data = _read(source)
        digest = content_hash(data)
        image, original_size, notes = _decoded(data, size)
        fitted = _fitted(image, size, fit)
    except _RefusedError as refused:
        return _stand_in(name, refused.problem, digest, size)
    except MemoryError:
        return _stand_in(name, PictureProblem("out_of_memory"), digest, size)
    return LoadedImage(name, fitted, original_size, notes, None, digest, image_key(digest, size, fit))


def preview(source: bytes | str | Path, *, edge: int = 600) -> Preview:
    """What the page shows of a picture before it is scored; like `load_image`, it never raises for a bad one."""
    data = read_bytes(source)
    if isinstance(data, PictureProblem):
        return Preview(None, (0, 0), 0, "", (), data)
    digest = content_hash(data)
    try:
        image, original_size, notes = _decoded(data, edge)
    except _RefusedError as refused:
        return Preview(None, (0, 0), len(data), digest, (), refused.problem)
    except MemoryError:
        return Preview(None, (0, 0), len(data), digest, (), PictureProblem("out_of_memory"))
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return Preview(encoded.getvalue(), original_size, len(data), digest, notes)


def read_bytes(source: bytes | str | Path) -> bytes | PictureProblem:
    """The encoded bytes, or why they cannot be had."""
    try:
        return _read(source)
    except _RefusedError as refused:
        return refused.problem


def content_hash(data: bytes) -> str:
    """The identity of a picture: equal bytes, equal hash, whatever the file is called."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def image_key(digest: str, size: int = 384, fit: Fit = "crop") -> str:
    """The identity of a prepared picture: its content and how it is prepared."""
    return f"{digest}-{fit}-{size}"


def has_image_suffix(path: str | Path) -> bool:
    """Whether the file name ends like a picture's. Only for choosing files: pictures are opened by content."""
    return Path(path).suffix.lower() in SUFFIXES


def find_images(folder: str | Path) -> list[Path]:
    """Every picture file in a folder and the folders below it, in natural order; hidden files are left out, and so are
    folders that cannot be read, with a warning.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=lambda error: logger.warning("Left out: %s", error)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".") and has_image_suffix(name)]
    return natsorted(found, key=lambda path: path.parts, alg=ns.IGNORECASE)


class _RefusedError(Exception):
    """Carries the problem from where it was found to `load_image`."""

    def __init__(self, code: str, **facts: int | str) -> None:
        super().__init__(code)
        self.problem = PictureProblem(code, **facts)  # type: ignore[arg-type]


def _read(source: bytes | str | Path) -> bytes:
    if isinstance(source, bytes):
        data = source
        if len(data) > MAX_BYTES:
            raise _RefusedError("too_many_bytes", size=len(data), limit=MAX_BYTES)
    else:
        data = _read_file(Path(source))
    if not data:
        raise _RefusedError("empty")
    return data


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise _RefusedError("too_many_bytes", size=size, limit=MAX_BYTES)
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _RefusedError("not_found") from error
    except (OSError, ValueError) as error:
        raise _RefusedError("unreadable", detail=getattr(error, "strerror", None) or str(error)) from error


def _decoded(data: bytes, needed: int) -> tuple[Image.Image, tuple[int, int], tuple[str, ...]]:
    """(upright RGB picture, its full upright size, notes); at least `needed` pixels on the short side where there are
    as many.
    """
    with _opened(data) as image:
        notes = []
        original = image.size
        if _has_more_frames(image):
            notes.append("first_frame")
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (2 * needed, 2 * needed))
        _decode(image)
        orientation = _orientation(image)
        colour = _rgb(_smaller(image, needed), notes, image.info.get("icc_profile"))
        if orientation > 1:
            notes.insert(0, "exif_rotated")
            colour = _turned(colour, orientation)
            original = original[::-1] if orientation >= 5 else original
        return colour, original, tuple(notes)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _RefusedError("too_many_pixels", limit=MAX_PIXELS) from error
    except UnidentifiedImageError as error:
        raise _RefusedError("not_an_image") from error
    except _DECODER_ERRORS as error:
        raise _RefusedError("truncated", detail=str(error)) from error
    with image:
        width, height = image.size
        if width < 1 or height < 1:
            raise _RefusedError("bad_dimensions", width=width, height=height)
        if width * height > MAX_PIXELS:
            raise _RefusedError("too_many_pixels", width=width, height=height, limit=MAX_PIXELS)
        yield image


# What Pillow's decoders raise on damaged files, beside OSError: each was met with a file of its own test suite or by
# fuzzing.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    AssertionError,
    Image.DecompressionBombError,
    struct.error,
    zlib.error,
)


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except _DECODER_ERRORS as error:
        raise _RefusedError("truncated", detail=str(error)) from error


def _has_more_frames(image: Image.Image) -> bool:
    """Layers of a PSD and the second views of an MPO are no frames; where looking fails, the first still stands.

    Frames are not counted: a file of some megabytes can hold a million, and counting them takes minutes.
    """
    if image.format in ("MPO", "PSD"):
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except _DECODER_ERRORS as error:
        logger.debug("A second frame cannot be looked for: %s", error)
        return False


def _smaller(image: Image.Image, needed: int) -> Image.Image:
    """Large pictures shrunk by a whole factor before anything else touches their pixels.

    Strip by strip: at 200 megapixels a single copy of the whole in another mode takes 0.8 GB.
    """
    factor = min(image.size) // (2 * needed)
    if factor < 2:
        return image
    width, height = image.size
    rows = factor * max(1, _STRIP_PIXELS // (width * factor))
    small = None
    for top in range(0, height, rows):
        strip = _averageable(image.crop((0, top, width, min(top + rows, height)))).reduce(factor)
        if small is None:
            small = Image.new(strip.mode, (strip.width, -(-height // factor)))
        small.paste(strip, (0, top // factor))
    return small or image


def _averageable(image: Image.Image) -> Image.Image:
    """The same picture in a mode whose neighbouring values may be averaged: no palette, no colour that means clear."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.has_transparency_data and image.mode != "RGBA":
        return image.convert("RGBA")
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image


def _rgb(image: Image.Image, notes: list[str], profile: bytes | None) -> Image.Image:
    """RGB on white, whatever the mode; notes what had to be done."""
    if image.mode in _HIGH_BIT_DEPTH:
        notes.append("high_bit_depth_reduced")
        return _eight_bit(image).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode == "CMYK":
        notes.append("cmyk_converted")
        return _by_profile(image, profile) or image.convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema() != (255, 255):
            notes.append("alpha_flattened")
            layered = Image.alpha_composite(Image.new("RGBA", layered.size, _WHITE), layered)
        image = layered
    colour = image.convert("RGB")
    return _by_profile(colour, profile) or colour


def _by_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """RGB or CMYK in sRGB, the colours as every viewer shows them: those of a phone (Display P3), a camera (Adobe RGB)
    or a press look dull or garish where the embedded profile is not followed.

    None where there is nothing to follow: no profile, a broken one, one for other channels, or sRGB itself.
    """
    if not profile:
        return None
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = source.profile.profile_description or ""
        if source.profile.xcolor_space.strip() != image.mode or "sRGB" in description:
            return None
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *_DECODER_ERRORS) as error:
        logger.debug("The colour profile cannot be followed: %s", error)
        return None


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return converted if converted is not None else image.convert("L").convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Sixteen-bit and floating-point greys scaled, not cut off: by the range of their kind, or by what they hold.

    Scanners and X-ray cameras store 12 bits in 16; by the full range such pictures would be all but black.
    """
    grey = image.convert("F")
    low, high = (float(value) for value in grey.getextrema())  # type: ignore[arg-type]
    if not (math.isfinite(low) and math.isfinite(high)):
        return Image.new("L", image.size, 128)
    if image.mode.startswith("I") and 0 <= low and 255 < high <= 65535:
        low, high = 0.0, 4095.0 if high <= 4095 else 65535.0
    elif 0 <= low and high <= 255 and not (image.mode == "F" and high <= 1):
        low, high = 0.0, 255.0
    scale = 255.0 / (high - low) if high > low else 0.0
    return grey.point(lambda value: value * scale + (0.0 - low * scale)).convert("L")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; broken EXIF counts as upright, since it says nothing about the pixels."""
    try:
        value = image.getexif().get(0x0112, 1)
    except (*_DECODER_ERRORS, UnicodeError) as error:
        logger.debug("EXIF cannot be read: %s", error)
        return 1
    return value if value in _TURNS else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation])


def _fitted(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    scale = math.sqrt(size * size / (image.width * image.height))
    width = min(max(round(image.width * scale), _SHORTEST_SIDE), size * size // _SHORTEST_SIDE)
    height = min(max(round(image.height * scale), _SHORTEST_SIDE), size * size // width)
    return image.resize((width, max(height, _SHORTEST_SIDE)), Image.Resampling.BICUBIC)


def _stand_in(name: str, problem: PictureProblem, digest: str, size: int) -> LoadedImage:
    grey = Image.new("RGB", (size, size), (128, 128, 128))
    known = (problem.width or 0, problem.height or 0)
    return LoadedImage(name, grey, known, (), problem, digest)


@functools.cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
