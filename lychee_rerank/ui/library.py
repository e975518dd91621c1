"""The images that will be ranked: encoded bytes or a path, and a preview. Decoded images are not kept."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from natsort import natsorted, ns

from lychee_rerank.images.files import content_hash
from lychee_rerank.images.load import Preview, preview
from lychee_rerank.rankings.job import Job, JobImage


@dataclass(frozen=True)
class LibraryImage(JobImage):
    """An image that was added; a file where `source` is a path stays where it is."""

    preview: Preview


RankingJob = Job[LibraryImage]


class Library:
    """Images in natural order of their names, without duplicate contents. Files are read in background threads.

    waiting: how many files are not read yet. duplicates: names of files whose content was in the library already.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.duplicates: tuple[str, ...] = ()
        self._images: dict[str, LibraryImage] = {}
        self._generation = 0  # counts calls of `clear`: what was submitted before the last one is dropped
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="library")

    def add(self, sources: Iterable[tuple[str, bytes | Path]]) -> None:
        """Add (name, bytes or path) pairs; returns before they are read."""
        for name, source in sources:
            with self._lock:
                self.waiting += 1
                generation = self._generation
            self._pool.submit(self._ingest, name, source, generation)

    def remove(self, key: str) -> None:
        with self._lock:
            self._images.pop(key, None)

    def clear(self) -> None:
        """Remove everything, also what is still being read."""
        with self._lock:
            self._images.clear()
            self.duplicates = ()
            self._generation += 1
            self.waiting = 0

    def images(self) -> list[LibraryImage]:
        with self._lock:
            images = list(self._images.values())
        return natsorted(images, key=lambda image: image.name, alg=ns.IGNORECASE)

    def _ingest(self, name: str, source: bytes | Path, generation: int) -> None:
        read = preview(source)
        key = read.content_hash or content_hash(name.encode())
        image = LibraryImage(key, name, source, read)
        with self._lock:
            if generation != self._generation:
                return
            self.waiting -= 1
            if key in self._images:
                self.duplicates += (name,)
            else:
                self._images[key] = image
