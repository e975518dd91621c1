"""The one SQLite file in the person's data folder that holds everything kept: scores, and what the page remembers.

SQLite in WAL mode: a row survives `kill -9` once it is written, a power cut costs at most the last moments, and
several processes may use the file at once. A file that cannot be used never stops a ranking: it costs the keeping,
and `Database.problem` says why.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import finalize

from filelock import Timeout
from platformdirs import user_data_path

from lychee_rerank.errors import StoreError
from lychee_rerank.rankings.database_file import (
    DAMAGE,
    UNUSABLE,
    note_damage,
    open_for_reading,
    open_for_writing,
    open_in_memory,
)

logger = logging.getLogger(__name__)

FILE_NAME = "kept.sqlite3"
_RETRY_AFTER_S = 60.0

_TABLES = """
CREATE TABLE IF NOT EXISTS settings (digest TEXT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scores (
    settings TEXT NOT NULL,  -- their digest, which means the same after they were deleted while a run goes on
    image TEXT NOT NULL, result BLOB NOT NULL, PRIMARY KEY (settings, image)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS old_journals (name TEXT PRIMARY KEY);  -- that are not to be read any more
"""


def data_folder() -> Path | None:
    """Where things are kept: `LYCHEE_STORE`, else the person's folder for application data; None without a home."""
    if named := os.environ.get("LYCHEE_STORE") or os.environ.get("LYCHEE_JOURNAL"):  # the second is its former name
        return Path(os.path.expanduser(named))
    try:
        folder = user_data_path("lychee-rerank", appauthor=False)
    except RuntimeError:  # there is no home directory, for which older versions of platformdirs give "~/..."
        return None
    return folder if folder.is_absolute() else None


class Database:
    """The file in `folder`, or one in memory where that cannot be used. Safe to share between threads.

    path: the file; None in memory. problem: one sentence on why things are not kept; "" while they are.
    `tables` are created in addition to those of scores.
    """

    def __init__(self, folder: Path | None, tables: str = "") -> None:
        self.path = folder / FILE_NAME if folder else None
        self.problem = ""
        self._logged: set[str] = set()
        self._lock = RLock()
        self._is_closed = False
        self._retry_at = 0.0  # when a failed write is tried again; 0 while none has failed
        self._connection = self._open(_TABLES + tables)
        finalize(self, self._connection.close).atexit = False  # Python 3.13 warns of one that nobody closed

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a SELECT. A file that can no longer be read gives none, and `problem` says so."""
        with self._lock:
            if self._is_closed:  # by a run that was stopped, while its threads still read images
                return []
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except DAMAGE as error:
                if str(error).startswith("no such table"):  # in a file that could only be opened for reading
                    return []
                note_damage(self.path, error)
                self._set_problem(
                    f"What was kept cannot be read from {self.path}: {_reason(error)}. The ranking goes on."
                )
                return []

    def write(self, statement: str, rows: Iterable[Sequence[object]] = ((),)) -> bool:
        """Run a statement once for each row, all or nothing. False where it could not be kept; `problem` says why."""
        with self._lock:
            if self._is_closed or time.monotonic() < self._retry_at:  # a locked file would cost a long wait each time
                return False
            try:
                with self._connection:
                    self._connection.executemany(statement, rows)
            except DAMAGE as error:
                note_damage(self.path, error)
                self._set_problem(f"{self._not_kept(error)} The ranking goes on without keeping them.")
                self._retry_at = time.monotonic() + _RETRY_AFTER_S
                return False
            if self._retry_at:
                self._retry_at, self.problem = 0.0, ""
            return True

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk, as far as other processes allow it at the moment."""
        with self._lock:
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.DatabaseError as error:
                logger.debug("%s keeps its size: %s", self.path, error)

    def delete_damaged_files(self) -> None:
        """Delete files that were set aside. Raises StoreError where that fails."""
        try:
            for file in self.path.parent.glob(f"{self.path.stem}-damaged-*") if self.path else ():
                file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"A damaged file that was set aside cannot be deleted: {_reason(error)}.") from error

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._connection.close()

    def _open(self, tables: str) -> sqlite3.Connection:
        if self.path is None:
            self._set_problem(
                "There is no home directory to keep scores in: name a folder with --store or LYCHEE_STORE."
            )
            return open_in_memory(tables)
        try:
            return open_for_writing(self.path, tables)
        except StoreError as error:
            self._set_problem(str(error))
            self.path = None
            return open_in_memory(tables)
        except UNUSABLE as error:
            problem = self._not_kept(error)
        # `immutable`: a write-ahead log cannot be opened in a read-only folder, so what is still in it is passed over.
        for mode in ("mode=ro", "mode=ro&immutable=1"):
            try:
                connection = open_for_reading(self.path, mode)
            except UNUSABLE as error:
                logger.debug("%s cannot be opened with %s: %s", self.path, mode, error)
            else:
                self._set_problem(f"{problem} Those kept before are used.")
                self._retry_at = math.inf
                return connection
        self._set_problem(f"{problem} The ranking goes on without keeping them.")
        return open_in_memory(tables)

    def _not_kept(self, error: Exception) -> str:
        return f"Scores cannot be kept in {self.path.parent if self.path else 'memory'}: {_reason(error)}."

    def _set_problem(self, problem: str) -> None:
        self.problem = problem
        if problem not in self._logged:
            self._logged.add(problem)
            logger.warning("%s", problem)


def _reason(error: Exception) -> str:
    if isinstance(error, FileExistsError):  # of mkdir
        return "it is a file, not a folder"
    if isinstance(error, Timeout):
        return "another process has locked it"
    return str(getattr(error, "strerror", None) or error).rstrip(".")
