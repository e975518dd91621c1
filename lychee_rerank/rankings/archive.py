"""What the page finds again after a restart, in the file of the scores: its settings, images and last rankings."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.load import Preview
from lychee_rerank.rankings.database import Database
from lychee_rerank.rankings.dropped import DroppedFiles
from lychee_rerank.rankings.ranking_record import RANKING_TABLES, RankingRecord
from lychee_rerank.rankings.store import ScoreStore, open_store
from lychee_rerank.text.query import Query

MAX_RANKINGS = 12

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS page (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS library (image TEXT PRIMARY KEY, name TEXT NOT NULL, path BLOB, stamp TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS previews (image TEXT PRIMARY KEY, facts TEXT NOT NULL, thumbnail BLOB);
CREATE TABLE IF NOT EXISTS rankings (
    number INTEGER PRIMARY KEY,  -- the order: clocks jump
    id TEXT NOT NULL UNIQUE, started REAL NOT NULL, query TEXT NOT NULL,
    model TEXT NOT NULL DEFAULT '', prompt TEXT NOT NULL DEFAULT '', settings TEXT, seconds REAL
);
CREATE TABLE IF NOT EXISTS ranking_images (  -- scored: the content that was scored; it may differ from the library's
    ranking TEXT NOT NULL, position INTEGER NOT NULL, image TEXT NOT NULL, name TEXT NOT NULL, path BLOB,
    scored TEXT NOT NULL, problem TEXT, PRIMARY KEY (ranking, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (image TEXT PRIMARY KEY, mark TEXT NOT NULL);
"""
    + RANKING_TABLES
)
_REFERENCED = "SELECT image FROM library UNION SELECT image FROM ranking_images"


@dataclass(frozen=True)
class KeptPreview:
    """Like a Preview, with the thumbnail read from the database each time it is drawn."""

    database: Database = field(repr=False)
    key: str
    original_size: tuple[int, int]
    file_size: int
    problem: PictureProblem | None

    @property
    def thumbnail(self) -> bytes | None:
        rows = self.database.read("SELECT thumbnail FROM previews WHERE image = ?", (self.key,))
        return rows[0][0] if rows else None


@dataclass(frozen=True)
class LibraryImage:
    """An image on the page: `key` identifies it (the hash of its content), `source` is its bytes or its path.

    problem: why there is no image in bytes that were not kept; `source` is empty then.
    """

    key: str
    name: str
    source: bytes | Path
    preview: Preview | KeptPreview
    problem: PictureProblem | None = None


@dataclass(frozen=True)
class SavedImage:
    """An image of an earlier ranking. `scored`: the hash of what was scored; `problem`: why it has no score."""

    image: LibraryImage
    scored: str
    problem: PictureProblem | None


@dataclass(frozen=True)
class RankingFacts:
    """An earlier ranking without its images. settings: their digest; None where scoring had not begun."""

    id: str
    started: float
    query: Query
    model: str
    prompt: str
    settings: str | None
    seconds: float | None


def open_archive(folder: Path | None = None) -> Archive:
    """The archive in `folder`, by default the person's own. One that cannot be used says why in its database."""
    return Archive(open_store(folder, _TABLES))


class Archive:
    """Safe to share between threads. Two processes may use one: each deletes only what it knows of."""

    def __init__(self, store: ScoreStore) -> None:
        self.store = store
        self.database = store.database
        self.folder = self.database.path.parent if self.database.path else None
        self.dropped = DroppedFiles(self.folder / "dropped") if self.folder and not self.database.problem else None

    def size(self) -> int:
        """The bytes on disk."""
        size = self.dropped.size() if self.dropped else 0
        for path in self.folder.glob("*.sqlite3*") if self.folder else ():
            with suppress(OSError):  # another process may have deleted it
                size += path.stat().st_size
        return size

    def settings(self) -> dict[str, object]:
        """What `save_settings` saved last; empty where there is nothing usable."""
        rows = self.database.read("SELECT value FROM page WHERE name = 'settings'")
        try:
            values = json.loads(rows[0][0]) if rows else {}
        except ValueError:
            return {}
        return values if isinstance(values, dict) else {}

    def save_settings(self, values: Mapping[str, object]) -> None:
        row = ("settings", json.dumps(values))
        self.database.write("INSERT OR REPLACE INTO page (name, value) VALUES (?, ?)", [row])

    def add_unread(self, files: Iterable[tuple[str, str, Path]]) -> None:
        """Keep (key, name, path) of files that are still to be read, until `forget` is called with the key."""
        rows = ((key, name, _encode_path(path)) for key, name, path in files)
        self.database.write("INSERT OR IGNORE INTO library VALUES (?, ?, ?, '')", rows)

    def add_image(self, image: LibraryImage, stamp: str) -> LibraryImage:
        """Keep an image of the library; the one returned holds neither its bytes nor its thumbnail where both are kept.

        `stamp`: of its file, before it was read.
        """
        # The row first: it keeps other processes from deleting the copy.
        row = (image.key, image.name, _encode_path(image.source), stamp)
        if not self.database.write("INSERT OR REPLACE INTO library VALUES (?, ?, ?, ?)", [row]):
            return image
        if self.dropped and image.source and isinstance(image.source, bytes):
            if self.dropped.keep(image.key, image.source, self._library_keys):
                path = self.dropped.path(image.key)
                image = replace(image, source=path)
                copy = (_encode_path(path), file_stamp(path), image.key)
                self.database.write("UPDATE library SET path = ?, stamp = ? WHERE image = ?", [copy])
        preview = self._keep_preview(image)
        return image if image.source and isinstance(image.source, bytes) else replace(image, preview=preview)

    def images(self) -> list[tuple[LibraryImage, str]]:
        """The images of the library, each with the stamp of its file when it was read; "" where it is to be read."""
        columns = "library.image, name, path, facts, stamp"
        rows = self.database.read(f"SELECT {columns} FROM library LEFT JOIN previews USING (image)")
        images, lost = [], []
        for key, name, path, facts, stamp in rows:
            image = self._image(key, name, path, facts)
            if path is None and image.problem is None:  # it was only in memory
                lost.append(key)
            else:
                images.append((image, stamp if facts else ""))
        self.forget(lost)
        return images

    def add_ranking(self, query: Query, images: Sequence[LibraryImage], started: float) -> RankingRecord:
        """Keep a ranking that begins; the oldest beyond MAX_RANKINGS are deleted."""
        record = RankingRecord(self.database, secrets.token_hex(8))
        row = (record.id, started, json.dumps(asdict(query)))
        self.database.write("INSERT INTO rankings (id, started, query) VALUES (?, ?, ?)", [row])
        rows = (
            (record.id, position, image.key, image.name, _encode_path(image.source), image.key)
            for position, image in enumerate(images)
        )
        self.database.write("INSERT INTO ranking_images VALUES (?, ?, ?, ?, ?, ?, NULL)", rows)
        for image in images:
            if not isinstance(image.preview, KeptPreview):  # it could not be kept before
                self._keep_preview(image)
        newest = f"SELECT id FROM rankings ORDER BY number DESC LIMIT {MAX_RANKINGS}"
        self.database.write(f"DELETE FROM rankings WHERE id NOT IN ({newest})")
        self._delete_unreferenced()
        return record

    def rankings(self) -> list[RankingFacts]:
        """The last rankings, oldest first, without those whose scores were deleted."""
        rows = self.database.read(
            "SELECT id, started, query, model, prompt, settings, seconds FROM rankings "
            "WHERE settings IS NULL OR settings IN (SELECT digest FROM settings) ORDER BY number"
        )
        rankings = []
        for ranking, started, query, *facts in rows:
            values = json.loads(query)
            values |= {name: tuple(values[name]) for name in ("units", "languages")}
            rankings.append(RankingFacts(ranking, started, Query(**values), *facts))
        return rankings

    def ranking_images(self, ranking: str) -> list[SavedImage]:
        """The images of an earlier ranking, in input order."""
        columns = "ranking_images.image, name, path, facts, scored, problem"
        tables = "ranking_images LEFT JOIN previews USING (image)"
        rows = self.database.read(f"SELECT {columns} FROM {tables} WHERE ranking = ? ORDER BY position", (ranking,))
        return [SavedImage(self._image(*image), scored, _to_problem(problem)) for *image, scored, problem in rows]

    def score_settings(self, settings: str | None) -> dict[str, Any] | None:
        """The settings of an earlier ranking's scores; None where scoring had not begun."""
        rows = self.database.read("SELECT description FROM settings WHERE digest = ?", (settings,))
        return dict(json.loads(rows[0][0])) if rows else None

    def forget(self, images: Iterable[str]) -> None:
        """Delete images of the library; thumbnails and copies go with the next ranking or `clear`."""
        self.database.write("DELETE FROM library WHERE image = ?", [(key,) for key in images])

    def clear(self, images: Iterable[str], rankings: Iterable[str]) -> None:
        """Delete images of the library and rankings, with thumbnails and copies that nothing else needs."""
        self.forget(images)
        self.database.write("DELETE FROM rankings WHERE id = ?", [(ranking,) for ranking in rankings])
        self._delete_unreferenced()

    def delete_all(self) -> None:
        """Delete everything kept, also all scores. Raises StoreError where that fails."""
        for table in ("page", "library", "rankings"):
            self.database.write(f"DELETE FROM {table}")
        self._delete_unreferenced()
        self.store.clear()

    def _delete_unreferenced(self) -> None:
        for table in ("ranking_images", "ranking_conditions", "ranking_near_duplicates"):
            self.database.write(f"DELETE FROM {table} WHERE ranking NOT IN (SELECT id FROM rankings)")
        for table in ("previews", "marks"):
            self.database.write(f"DELETE FROM {table} WHERE image NOT IN ({_REFERENCED})")
        # The '' tells "nothing is referenced" from "nothing could be read".
        if self.dropped and (rows := self.database.read(f"SELECT '' UNION {_REFERENCED}")):
            self.dropped.delete_except({key for (key,) in rows})

    def _library_keys(self) -> set[str]:
        return {key for (key,) in self.database.read("SELECT image FROM library")}

    def _keep_preview(self, image: LibraryImage) -> Preview | KeptPreview:
        key, preview = image.key, image.preview
        problem = asdict(preview.problem) if preview.problem else None
        facts = json.dumps([preview.original_size, preview.file_size, problem])
        row = (key, facts, preview.thumbnail)
        if not self.database.write("INSERT OR REPLACE INTO previews VALUES (?, ?, ?)", [row]):
            return preview
        return KeptPreview(self.database, key, preview.original_size, preview.file_size, preview.problem)

    def _image(self, key: str, name: str, path: bytes | None, facts: str | None) -> LibraryImage:
        (width, height), file_size, problem = json.loads(facts) if facts else ((0, 0), 0, None)
        preview = KeptPreview(self.database, key, (width, height), file_size, problem and PictureProblem(**problem))
        if path is None:  # its bytes were not kept
            return LibraryImage(key, name, b"", preview, preview.problem)
        return LibraryImage(key, name, Path(os.fsdecode(path)), preview)


def file_stamp(path: Path) -> str:
    """Identifies the state of a file; "" where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null character in the path
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _encode_path(source: bytes | Path) -> bytes | None:
    """Bytes, because names of files need not be text."""
    return os.fsencode(os.path.abspath(source)) if isinstance(source, Path) else None


def _to_problem(text: str | None) -> PictureProblem | None:
    return PictureProblem(**json.loads(text)) if text else None
