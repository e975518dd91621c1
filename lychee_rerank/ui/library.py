"""The images that will be ranked: encoded bytes or a path, a thumbnail, and what is wrong with them. Decoded images
are not kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from natsort import natsorted, ns

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.files import content_hash
from lychee_rerank.images.load import preview
from lychee_rerank.rankings.job import Job, JobImage


@dataclass(frozen=True)
class LibraryImage(JobImage):
    """An image that was added; a file where `source` is a path stays where it is.

    thumbnail: JPEG bytes, None where the image cannot be read. dimensions: width and height in pixels. file_size: in
    bytes. problem: why it cannot be scored.
    """

    thumbnail: bytes | None
    dimensions: tuple[int, int]
    file_size: int
    problem: PictureProblem | None


RankingJob = Job[LibraryImage]


class Library:
    """Images in natural order of their names, without duplicate contents. Files are read in background threads."""

    def __init__(self) -> None:
        self._images: dict[str, LibraryImage] = {}
        self._duplicates: list[str] = []
        self._waiting = 0
        self._generation = 0  # counts calls of `clear`: what was submitted before the last one is dropped
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="library")

    def add(self, sources: Iterable[tuple[str, bytes | Path]]) -> None:
        """Add (name, bytes or path) pairs; returns before they are read."""
        for name, source in sources:
            with self._lock:
                self._waiting += 1
                generation = self._generation
            self._pool.submit(self._ingest, name, source, generation)

    def remove(self, key: str) -> None:
        with self._lock:
            self._images.pop(key, None)

    def clear(self) -> None:
        """Remove everything, also what is still being read."""
        with self._lock:
            self._images.clear()
            self._duplicates.clear()
            self._generation += 1
            self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many files are not read yet."""
        return self._waiting

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Names of files whose content was in the library already."""
        return tuple(self._duplicates)

    def images(self) -> list[LibraryImage]:
        with self._lock:
            images = list(self._images.values())
        return natsorted(images, key=lambda image: image.name, alg=ns.IGNORECASE)

    def _ingest(self, name: str, source: bytes | Path, generation: int) -> None:
        read = preview(source)
        key = read.content_hash or content_hash(name.encode())
        image = LibraryImage(key, name, source, read.thumbnail, read.original_size, read.file_size, read.problem)
        with self._lock:
            if generation != self._generation:
                return
            self._waiting -= 1
            if key in self._images:
                self._duplicates.append(name)
            else:
                self._images[key] = image
