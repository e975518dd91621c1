"""A file becomes a LoadedImage, or a gray placeholder with the reason; nothing here raises for a bad image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.decode import decode_upright_rgb
from lychee_rerank.images.files import EncodedImage, UnusableImageError, default_name, read_image
from lychee_rerank.images.resize import Fit, resize

# Raise it when the prepared pixels of any file change: scores kept under another version are not used.
PREPARATION_VERSION = 3
_LONG_ASPECT = 2  # beyond it, the centered square is less than half of the picture


@dataclass(frozen=True)
class LoadedImage:
    """One image as the model gets it.

    image: RGB, 384 x 384, or fewer pixels of the file's aspect with fit="whole".
    original_size: (width, height) in pixels, upright.
    notes: what was done: "exif_rotated", "first_frame", "alpha_flattened", "cmyk_converted", "high_bit_depth_reduced",
        "hdr_converted", "embedded_preview" and "raw_developed" (of a camera's RAW file), "mostly_cropped" (more than
        half was cut off).
    problem: why `image` is only a gray placeholder; None for a good image.
    content_hash: identity of the encoded bytes; "" where they could not be read.
    key: identity of the prepared image, for caches; "" for a placeholder.
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
        """What is wrong with the image, in one English sentence; None for a good one."""
        return None if self.problem is None else str(self.problem)


@dataclass(frozen=True)
class Preview:
    """An image for the page. `thumbnail` is a small upright JPEG, None where the file has no usable image."""

    thumbnail: bytes | None
    original_size: tuple[int, int]
    file_size: int
    content_hash: str
    problem: PictureProblem | None = None


def load_image(
    source: bytes | str | Path | EncodedImage, *, name: str | None = None, size: int = 384, fit: Fit = "crop"
) -> LoadedImage:
    """Decode one image for the model; whatever is wrong with it ends up in `.problem`, nothing is raised.

    fit="crop": the centered `size` x `size` square; "whole": all of it, aspect kept, with no more pixels than that.
    """
    name = name or default_name(source)
    digest = ""
    try:
        encoded = read_image(source)
        digest = encoded.content_hash
        decoded = decode_upright_rgb(encoded.data, size)
        image = resize(decoded.image, size, fit)
    except UnusableImageError as error:
        return placeholder(name, error.problem, digest, size)
    except MemoryError:  # while resizing: a strip 1 pixel wide and 200 million high
        return placeholder(name, PictureProblem("out_of_memory"), digest, size)
    notes = (*decoded.notes, *_crop_notes(decoded.image, fit))
    return LoadedImage(name, image, decoded.original_size, notes, None, digest, image_key(digest, size, fit))


def _crop_notes(image: Image.Image, fit: Fit) -> tuple[str, ...]:
    long = max(image.size) > _LONG_ASPECT * min(image.size)
    return ("mostly_cropped",) if long and fit == "crop" else ()


def preview(source: bytes | str | Path | EncodedImage, *, edge: int = 600) -> Preview:
    """What the page shows of an image before it is scored; like `load_image`, never raises for a bad one."""
    file_size, digest = 0, ""
    try:
        encoded = read_image(source)
        file_size, digest = len(encoded.data), encoded.content_hash
        decoded = decode_upright_rgb(encoded.data, edge // 2)  # which leaves the short side `edge` pixels or more
    except UnusableImageError as error:
        return Preview(None, (0, 0), file_size, digest, error.problem)
    decoded.image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    thumbnail = io.BytesIO()
    decoded.image.save(thumbnail, "JPEG", quality=85)
    return Preview(thumbnail.getvalue(), decoded.original_size, file_size, digest)


def placeholder(name: str, problem: PictureProblem, digest: str = "", size: int = 384) -> LoadedImage:
    """A gray square that stands for an unusable image; no model time is spent on it."""
    gray = Image.new("RGB", (size, size), (128, 128, 128))
    return LoadedImage(name, gray, (problem.width or 0, problem.height or 0), (), problem, digest)


def image_key(digest: str, size: int = 384, fit: Fit = "crop") -> str:
    """The identity of a prepared image: its content and how it was prepared."""
    return f"{digest}-{fit}-{size}"
