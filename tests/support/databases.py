"""A database with a table of words, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lychee_rerank.rankings.database import FILE_NAME, Database

TABLES = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY);"
INSERT = "INSERT INTO words VALUES (?)"
WORDS = [(f"word {number:04d} " + "long " * 20,) for number in range(400)]


@contextmanager
def opened(folder: Path | None) -> Iterator[Database]:
    with closing(Database(folder, TABLES)) as opened_database:
        yield opened_database


def words(opened_database: Database) -> list[tuple[str]]:
    return opened_database.read("SELECT word FROM words ORDER BY word")


def fill(folder: Path) -> Path:
    with opened(folder) as opened_database:
        assert opened_database.write(INSERT, WORDS)
    return folder / FILE_NAME
