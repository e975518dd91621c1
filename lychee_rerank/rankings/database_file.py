"""Opening the SQLite file of `Database`: made by one process at a time, checked, and set aside where it is damaged."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path

from filelock import FileLock

from lychee_rerank.errors import StoreError

logger = logging.getLogger(__name__)

UNUSABLE = (OSError, NotImplementedError, sqlite3.DatabaseError)  # the second: a file system that has no locks
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the second: in the message of the first

_VERSION = 1  # of the tables; a higher one in a file was written by a newer version of this program
_BUSY_TIMEOUT_S = 10.0
_CHECKPOINT_PAGES = 100  # about 50 scores; SQLite's 1000 would take 4 MB of a disk that is nearly full
# Checking reads all of the file: 0.1 s for 100 MB (200,000 scores), a minute for gigabytes on a slow disk. A larger one
# is checked after an end without closing, and where damage was met, which a file of this suffix beside it says.
_MAX_SIZE_CHECKED_ALWAYS = 100_000_000
_DOUBTFUL = "-doubtful"


def open_for_writing(path: Path, tables: str) -> sqlite3.Connection:
    """Raises those of UNUSABLE where the file cannot be used, StoreError for a newer one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # queries are nobody else's business
    with FileLock(path.with_suffix(".lock"), timeout=_BUSY_TIMEOUT_S):  # two processes may start at once
        if path.exists() and not _is_sound(path):
            _set_aside(path)
        connection = _connect(path)
        try:
            with suppress(sqlite3.OperationalError):  # on a network drive without shared memory; the default serves too
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.executescript(tables)  # writes nothing, and so waits for nobody, where they exist
            if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                connection.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection


def open_for_reading(path: Path, mode: str) -> sqlite3.Connection:
    connection = _connect(f"{path.resolve().as_uri()}?{mode}")
    try:
        connection.execute("SELECT 1 FROM scores LIMIT 1")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def open_in_memory(tables: str) -> sqlite3.Connection:
    connection = _connect(":memory:")
    connection.executescript(tables)
    return connection


def _connect(path: str | Path) -> sqlite3.Connection:
    is_uri = isinstance(path, str)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False, uri=is_uri)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged byte costs only its text
    return connection


def _is_sound(path: Path) -> bool:
    """Whether this is a whole SQLite file. Raises StoreError for one of a newer version, and what SQLite raises for
    reasons other than damage.
    """
    if _size(path) == 0:
        return False
    connection = _connect(path)
    try:
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        if version > _VERSION:
            raise StoreError(
                f"{path} was written by a newer version of Lychee Rerank and is left as it is: update the program, or "
                "name another folder with --store. Nothing is kept until then."
            )
        ((page_size,),) = connection.execute("PRAGMA page_size").fetchall()
        is_wal_empty = _size(_beside(path, "-wal")) == 0
        if _size(path) % page_size and is_wal_empty:  # SQLite would take what is missing for zeros
            return False
        doubtful = _beside(path, _DOUBTFUL)
        if _size(path) > _MAX_SIZE_CHECKED_ALWAYS and is_wal_empty and not doubtful.exists():
            return True
        is_sound = connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
        doubtful.unlink(missing_ok=True)
        return is_sound
    except sqlite3.OperationalError:
        raise
    except DAMAGE:
        return False
    finally:
        connection.close()


def _set_aside(path: Path) -> None:
    """Rename a damaged file and what belongs to it, so that a new one can begin."""
    names = (path.with_name(f"{path.stem}-damaged-{number}{path.suffix}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    for suffix in ("", "-wal", "-shm"):
        if _beside(path, suffix).exists():
            _beside(path, suffix).replace(_beside(aside, suffix))
    logger.warning("%s is damaged: it is set aside as %s, and a new one begins.", path, aside.name)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def note_damage(path: Path | None, error: Exception) -> None:
    """Where an error means damage, the next start checks the file."""
    if path and not isinstance(error, sqlite3.OperationalError):
        with suppress(OSError):
            _beside(path, _DOUBTFUL).touch()
