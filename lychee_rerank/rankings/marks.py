"""What a person chose of the images: which are kept, and which are rejected."""

from __future__ import annotations

from threading import Lock
from typing import Literal

from lychee_rerank.rankings.database import Database

Mark = Literal["kept", "rejected"]


class Marks:
    """The mark of each image of the page, by `LibraryImage.key`. Kept on disk; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._marks: dict[str, Mark] = dict(database.read("SELECT image, mark FROM marks"))

    def get(self, key: str) -> Mark | None:
        """The mark of an image; None where it has none."""
        return self._marks.get(key)

    def set(self, key: str, mark: Mark | None) -> None:
        """Mark an image, or take its mark away."""
        with self._lock:
            if mark is None:
                self._marks.pop(key, None)
                self._database.write("DELETE FROM marks WHERE image = ?", [(key,)])
            else:
                self._marks[key] = mark
                self._database.write("INSERT OR REPLACE INTO marks VALUES (?, ?)", [(key, mark)])

    def clear(self) -> None:
        """Take all marks away."""
        with self._lock:
            self._marks.clear()
            self._database.write("DELETE FROM marks")
