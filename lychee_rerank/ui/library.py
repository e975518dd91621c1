"""The pictures on the desk: encoded bytes or a path, a thumbnail, and what is wrong with them. Never a full decode."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from natsort import natsorted, ns

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.load import preview
from lychee_rerank.rankings.job import JobImage


@dataclass(frozen=True)
class Item(JobImage):
    """One loaded picture, read in place where `source` is a path; `dimensions` in pixels, `problem` why it cannot be
    scored.
    """

    thumbnail: bytes | None
    dimensions: tuple[int, int]
    bytes: int
    problem: PictureProblem | None


class Library:
    """Pictures in natural order of their names, each content once. Reading happens in the background."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._duplicates: list[str] = []
        self._waiting = 0
        self._generation = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="library")

    def add(self, sources: Iterable[tuple[str, bytes | Path]]) -> None:
        """Take (name, bytes or path) in; returns at once."""
        for name, source in sources:
            with self._lock:
                self._waiting += 1
                generation = self._generation
            self._pool.submit(self._take, name, source, generation)

    def remove(self, key: str) -> None:
        with self._lock:
            self._items.pop(key, None)

    def clear(self) -> None:
        """Forget everything, also what is still being read."""
        with self._lock:
            self._items.clear()
            self._duplicates.clear()
            self._generation += 1
            self._waiting = 0

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def duplicates(self) -> tuple[str, ...]:
        return tuple(self._duplicates)

    def items(self) -> list[Item]:
        with self._lock:
            found = list(self._items.values())
        return natsorted(found, key=lambda item: item.name, alg=ns.IGNORECASE)

    def _take(self, name: str, source: bytes | Path, generation: int) -> None:
        seen = preview(source)
        key = seen.content_hash or f"nameless-{name}"
        item = Item(key, name, source, seen.thumbnail, seen.original_size, seen.bytes, seen.problem)
        with self._lock:
            if generation != self._generation:
                return
            self._waiting -= 1
            if key in self._items:
                self._duplicates.append(name)
            else:
                self._items[key] = item
