"""The images that will be ranked: encoded bytes or a path, and a preview. Decoded images are not kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock

from natsort import natsorted, ns

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.files import FolderListing, content_hash
from lychee_rerank.images.load import Preview, preview
from lychee_rerank.images.paths import printable_name
from lychee_rerank.rankings.archive import Archive, KeptPreview, LibraryImage, file_stamp
from lychee_rerank.rankings.job import Job
from lychee_rerank.rankings.saved import SavedRanking

logger = logging.getLogger(__name__)

_MAY_BE_SCORED = ("out_of_memory", "unreadable")  # problems of a preview that need not recur


RankingJob = Job | SavedRanking


class Library:
    """Images in natural order of their names, without duplicate contents. Files are read in background threads.

    What the archive kept of an earlier sitting is there from the start. waiting: how many files are not read yet.
    duplicates: names of files whose content was in the library already. listings: of the folders that were added, for
    what was left out of them.
    """

    def __init__(self, archive: Archive) -> None:
        self.duplicates: tuple[str, ...] = ()
        self.listings: dict[Path, FolderListing] = {}
        self._archive = archive
        self._unread: set[str] = set()  # keys under which files are kept until they are read
        self._generation = 0  # counts calls of `clear`: what was submitted before the last one is dropped
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="library")
        restored = archive.images()
        self._images = {image.key: image for image, _ in restored}
        self.waiting = len(restored)
        self._pool.submit(self._check, restored)

    def add(self, sources: Iterable[tuple[str, bytes | Path]]) -> None:
        """Add (name, bytes or path) pairs; returns before they are read."""
        added = list(sources)
        files = [(_file_key(path), printable_name(name), path) for name, path in added if isinstance(path, Path)]
        with self._lock:
            self.waiting += len(added)
            self._unread |= {key for key, _, _ in files}
            generation = self._generation
        self._archive.add_unread(files)
        for name, source in added:
            self._pool.submit(self._ingest, name, source, generation)

    def add_folder(self, listing: FolderListing) -> None:
        """Add the images of a folder, named by their path below it."""
        self.listings[listing.folder] = listing
        self.add((str(image.relative_to(listing.folder)), image) for image in listing.images)

    def keep_rest(self) -> None:
        """Try once more to keep what could not be kept."""
        for image in self.images():
            if not isinstance(image.preview, KeptPreview):
                self._pool.submit(self._keep, image, "")

    def remove(self, key: str) -> None:
        with self._lock:
            self._images.pop(key, None)
        self._archive.clear([key], ())

    def clear(self) -> None:
        """Remove everything, also what is still being read."""
        with self._lock:
            keys = [*self._images, *self._unread]
            self._images.clear()
            self._unread.clear()
            self.duplicates = ()
            self.listings = {}
            self._generation += 1
            self.waiting = 0
        self._archive.clear(keys, ())

    def images(self) -> list[LibraryImage]:
        with self._lock:
            images = list(self._images.values())
        return natsorted(images, key=lambda image: image.name, alg=ns.IGNORECASE)

    def _check(self, restored: list[tuple[LibraryImage, str]]) -> None:
        """Read again what is no longer as it was in an earlier sitting, or could not be read then."""
        for image, stamp in restored:
            if isinstance(image.source, Path) and (
                image.preview.problem or not stamp or file_stamp(image.source) != stamp
            ):
                self._ingest(image.name, image.source, 0, image)
            else:
                self._count_read(0)

    def _ingest(self, name: str, source: bytes | Path, generation: int, restored: LibraryImage | None = None) -> None:
        stamp = file_stamp(source) if isinstance(source, Path) else ""
        image = _read(name, source)
        # A file has other keys until it is read, while it cannot be read, and where its content was another.
        former = {key for key in (_file_key(source), restored and restored.key) if key} - {image.key}
        try:
            if self._insert(image, former, generation, restored):
                self._keep(image, stamp)
            self._archive.forget(former)
        except Exception:  # as for `_read`
            logger.exception("An image is not kept.")
        self._count_read(generation)

    def _insert(self, image: LibraryImage, former: set[str], generation: int, restored: LibraryImage | None) -> bool:
        """Put an image in the library; False where it is there already, and where it was removed meanwhile."""
        with self._lock:
            if generation != self._generation:
                return False
            if restored and self._images.pop(restored.key, None) is None:
                return False
            for key in former:
                self._images.pop(key, None)
            self._unread -= former
            if image.key in self._images:
                self.duplicates += (image.name,)
                return False
            self._images[image.key] = image
            return True

    def _keep(self, image: LibraryImage, stamp: str) -> None:
        kept = self._archive.add_image(image, stamp)
        with self._lock:
            if is_there := self._images.get(image.key) is image:
                self._images[image.key] = kept
        if not is_there:  # it was removed meanwhile
            self._archive.clear([image.key], ())

    def _count_read(self, generation: int) -> None:
        with self._lock:
            if generation == self._generation:
                self.waiting -= 1


def _read(name: str, source: bytes | Path) -> LibraryImage:
    try:
        read = preview(source)
    except Exception as error:  # nothing catches errors of a thread: without this the page would read forever
        logger.exception("An image could not be previewed.")
        problem = PictureProblem("unreadable", detail=str(error) or type(error).__name__)
        read = Preview(None, (0, 0), 0, "", problem)
    key = read.content_hash or _file_key(source) or _text_key(name)
    image = LibraryImage(key, printable_name(name), source, read)
    if isinstance(source, bytes) and read.problem and read.problem.code not in _MAY_BE_SCORED:
        return replace(image, source=b"", problem=read.problem)  # 100 MB, where it is a phone's video
    return image


def _file_key(source: bytes | Path) -> str:
    """The key of a file while it is not read; "" for bytes."""
    return _text_key(str(source)) if isinstance(source, Path) else ""


def _text_key(text: str) -> str:
    return content_hash(text.encode("utf-8", "surrogatepass"))
