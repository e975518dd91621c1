"""Image files: find them, read them, identify them by content."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natsort import natsorted, ns

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.kinds import SUFFIXES, has_raw_signature, is_tiff
from lychee_rerank.images.paths import printable_name

logger = logging.getLogger(__name__)

MAX_BYTES = 100 * 1024 * 1024
MAX_RAW_BYTES = 256 * 1024 * 1024  # uncompressed, 100 megapixels are 206 MB
SPECIAL = "special"
_MAX_SUFFIX_LENGTH = 10  # a longer one is part of a name with a full stop in it
# Of file servers (thumbnails, recycle bins, snapshots), Windows, Linux, Android and macOS's archives; in lower case.
_SYSTEM_NAMES = frozenset(
    {"@eadir", "@recycle", "@recently-snapshot", "@__thumb", "@tmp", "@sharebin", "#recycle", "#snapshot"}
    | {"~snapshot", "network trash folder", "temporary items"}
    | {"$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "lost.dir", "__macosx"}
    | {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"}
)


class UnusableImageError(Exception):
    """Raised within this package for a file without a usable image; `load_image` turns it into `.problem`."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.problem = PictureProblem(code, **facts)


class FileTooLargeError(OSError):
    """A file has more bytes than `limit`; `size` is what is known of it."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(errno.EFBIG, f"it is larger than {limit // 1024**2} MiB")
        self.size, self.limit = size, limit


@dataclass(frozen=True)
class EncodedImage:
    """An image file that has been read once: `data` is decoded, hashed and scored, whatever becomes of the file.

    content_hash: identity of the bytes; equal files have equal hashes, whatever they are called.
    """

    name: str
    data: bytes
    content_hash: str


@dataclass(frozen=True)
class FolderListing:
    """What is in a folder and below it.

    images: in natural order. left_out: how many other files there are of each suffix; "" stands for none, and SPECIAL
    for named pipes, sockets and devices. unreadable_folders: those that the system refused to list.
    Hidden files and what operating systems and servers keep for themselves do not count.
    """

    folder: Path
    images: tuple[Path, ...]
    left_out: Counter[str]
    unreadable_folders: tuple[Path, ...]


def find_images(folder: str | Path) -> list[Path]:
    """Every image file below a folder, in natural order, without hidden ones. Unreadable folders are logged."""
    listing = list_folder(folder)
    for unreadable in listing.unreadable_folders:
        logger.warning("Left out, because it cannot be opened: %s", printable_name(str(unreadable)))
    return list(listing.images)


def list_folder(folder: str | Path) -> FolderListing:
    """The images below a folder, and what is left out. Links to folders are followed; each folder is listed once."""
    images: list[Path] = []
    left_out: Counter[str] = Counter()
    unreadable: list[Path] = []
    visited = set(map(str, Path(os.path.realpath(folder)).parents))  # a link up is a loop, not part of the folder
    pending = deque([Path(folder)])  # links at the end, so that a folder is listed under its own path where it has one
    while pending:
        parent = pending.popleft()
        if (real := os.path.realpath(parent)) in visited:
            continue
        visited.add(real)
        for entry in _scan(parent, unreadable):
            match _kind(entry):
                case "folder" if entry.is_symlink():
                    pending.append(parent / entry.name)
                case "folder":
                    pending.appendleft(parent / entry.name)
                case "image":
                    images.append(parent / entry.name)
                case kind:
                    left_out[kind] += 1
    ordered = natsorted(images, key=lambda path: path.parts, alg=ns.IGNORECASE)
    return FolderListing(Path(folder), tuple(ordered), left_out, tuple(unreadable))


def _scan(folder: Path, unreadable: list[Path]) -> list[os.DirEntry[str]]:
    """The entries of a folder that are neither hidden nor the system's; a folder that cannot be listed is noted."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and not is_system_name(entry.name)]
    except OSError:
        unreadable.append(folder)
        return []


def _kind(entry: os.DirEntry[str]) -> str:
    """One of "folder" and "image", or else what `left_out` counts the entry as.

    A broken link counts as what its name says, so that it gets its row with the reason like an unreadable file.
    """
    try:
        if entry.is_dir():
            return "folder"
        special = not entry.is_file() and os.path.exists(entry.path)
    except OSError:  # it cannot be reached; reading it will say why
        special = False
    if special:
        return SPECIAL
    return "image" if has_image_suffix(entry.name) else suffix_kind(entry.name)


def suffix_kind(path: str) -> str:
    """The suffix in lower case, under which a file that is left out is counted; "" for none."""
    suffix = Path(path).suffix.lower()
    return suffix if len(suffix) <= _MAX_SUFFIX_LENGTH else ""


def is_system_name(name: str) -> bool:
    """Whether an operating system or a server made the file or folder of this name, beside or out of the originals."""
    return name.startswith("._") or name.lower().startswith(".trash") or name.lower() in _SYSTEM_NAMES


def has_image_suffix(path: str | Path) -> bool:
    """Whether the file name ends like an image's. Only for choosing files: images are opened by content."""
    return Path(path).suffix.lower() in SUFFIXES


def read_bytes(source: bytes | str | Path) -> bytes:
    """The encoded bytes, at least one and at most `max_bytes`. Raises UnusableImageError."""
    try:
        data = source if isinstance(source, bytes) else read_regular_file(source)
        if len(data) > max_bytes(data):
            raise FileTooLargeError(len(data), max_bytes(data))
    except FileNotFoundError as error:
        raise UnusableImageError("not_found") from error
    except FileTooLargeError as error:
        raise UnusableImageError("too_many_bytes", size=error.size, limit=error.limit) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise UnusableImageError("unreadable", detail=getattr(error, "strerror", None) or str(error)) from error
    if not data:
        raise UnusableImageError("empty")
    return data


def read_regular_file(path: str | Path) -> bytes:
    """All of a file of at most `max_bytes`. Raises OSError; also for a named pipe, a socket or a device, which could
    keep the reader waiting or deliver for ever.
    """
    _check_regular(os.stat(path))  # before opening it: that alone can wait, or set a device going
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        _check_regular(status)
        limit = max_bytes(file.peek())
        if status.st_size > limit:
            raise FileTooLargeError(status.st_size, limit)
        data = file.read(status.st_size + 1)
        if len(data) > status.st_size:  # it grows, or its file system does not know its size
            data += file.read(limit - status.st_size)
    if len(data) > limit:
        raise FileTooLargeError(len(data), limit)
    return data


def max_bytes(data: bytes) -> int:
    """How large a file that begins like this may be. Most RAW files begin like any TIFF."""
    return MAX_RAW_BYTES if is_tiff(data) or has_raw_signature(data) else MAX_BYTES


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def read_image(source: bytes | str | Path | EncodedImage) -> EncodedImage:
    """The image file's bytes with their identity; what was read before is returned as it is.

    Raises UnusableImageError.
    """
    if isinstance(source, EncodedImage):
        return source
    data = read_bytes(source)
    return EncodedImage(default_name(source), data, content_hash(data))


def default_name(source: bytes | str | Path | EncodedImage) -> str:
    """The file's name, printable; "picture" for bytes, which have none."""
    if isinstance(source, EncodedImage):
        return source.name
    return "picture" if isinstance(source, bytes) else printable_name(Path(source).name)


def content_hash(data: bytes) -> str:
    """The identity of an image file: equal bytes give equal hashes, whatever the file is called."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
