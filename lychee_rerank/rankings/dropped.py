"""Copies of the pictures that were dropped onto the page: beside the database, each once, within a budget."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Set
from pathlib import Path
from threading import Lock

from lychee_rerank.devices.memory import GIB

logger = logging.getLogger(__name__)

BUDGET = GIB  # of all copies together


class DroppedFiles:
    """The copies in `folder`, each named by its content hash. Safe to share between threads.

    problem: why the last one was not kept, as the system says it; "" where there was no room within the budget.
    """

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self.problem = ""
        self._folder = folder
        self._budget = budget
        self._used: int | None = None  # not measured yet
        self._lock = Lock()

    def path(self, key: str) -> Path:
        """Where the copy of an image is, or would be."""
        return self._folder / key

    def keep(self, key: str, data: bytes, needed: Callable[[], Set[str]]) -> bool:
        """Write a copy. For room, the oldest that are not `needed` are deleted. False where it could not be kept."""
        with self._lock:
            try:
                if (path := self.path(key)).is_file() and path.stat().st_size == len(data):
                    return True
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not self._make_room(len(data), needed):
                    self.problem = ""
                    return False
                self._write(key, data)
            except OSError as error:
                self._report(error.strerror or str(error))
                return False
        return True

    def delete_except(self, needed: Set[str]) -> None:
        """Delete the copies that are not `needed`, and what an interrupted writing left behind."""
        with self._lock:
            for path, _ in self._list():
                if path.name not in needed:
                    _delete(path)
            self._used = None

    def size(self) -> int:
        """The bytes of all copies."""
        return sum(status.st_size for _, status in self._list())

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            logger.warning("Dropped pictures cannot be kept in %s: %s", self._folder, problem)
            self.problem = problem

    def _make_room(self, size: int, needed: Callable[[], Set[str]]) -> bool:
        if self._used is None:
            self._used = self.size()
        if self._used + size > self._budget:
            self._delete_oldest(self._used + size - self._budget, needed())
            self._used = self.size()
        return self._used + size <= self._budget

    def _delete_oldest(self, size: int, needed: Set[str]) -> None:
        for path, status in sorted(self._list(), key=lambda entry: entry[1].st_mtime_ns):
            if size > 0 and path.name not in needed:
                _delete(path)
                size -= status.st_size

    def _write(self, key: str, data: bytes) -> None:
        """Whole or not at all."""
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=f"{key}.", delete=False) as file:
            try:
                file.write(data)
                file.close()
                os.replace(file.name, self.path(key))
            except OSError:
                file.close()
                _delete(Path(file.name))
                raise
        self._used = (self._used or 0) + len(data)

    def _list(self) -> list[tuple[Path, os.stat_result]]:
        try:
            with os.scandir(self._folder) as entries:
                return [(Path(entry.path), entry.stat()) for entry in entries]
        except OSError:  # there is no such folder yet, or another process is deleting from it
            return []


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s cannot be deleted: %s", path, error)
