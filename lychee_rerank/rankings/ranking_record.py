"""The course of one ranking in the archive: when scoring began and ended, what went wrong, and what was found after it.

Its scores, also those of its conditions, are in the store.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from lychee_rerank.errors import PictureProblem
from lychee_rerank.images.paths import encodable
from lychee_rerank.rankings.database import Database

RANKING_TABLES = """
CREATE TABLE IF NOT EXISTS ranking_conditions (  -- settings: the digest of those of its scores
    ranking TEXT NOT NULL, position INTEGER NOT NULL, text TEXT NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (ranking, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ranking_near_duplicates (
    ranking TEXT NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL,  -- of the group
    PRIMARY KEY (ranking, position)
) WITHOUT ROWID;
"""


class RankingRecord:
    """Writes down the course of one ranking, and reads what was found after it."""

    def __init__(self, database: Database, ranking: str) -> None:
        self.id = ranking
        self._database = database

    def start(self, model: str, prompt: str, settings: str) -> None:
        """The model is loaded, and scoring begins."""
        statement = "UPDATE rankings SET model = ?, prompt = ?, settings = ? WHERE id = ?"
        self._database.write(statement, [(encodable(model), encodable(prompt), settings, self.id)])

    def add_exception(self, position: int, scored: str, problem: PictureProblem | None) -> None:
        """An image could not be scored, or its content was no longer what the library had read."""
        statement = "UPDATE ranking_images SET scored = ?, problem = ? WHERE ranking = ? AND position = ?"
        text = json.dumps(asdict(problem)) if problem else None
        self._database.write(statement, [(scored, text, self.id, position)])

    def end(self, seconds: float) -> None:
        """Every image has its result."""
        self._database.write("UPDATE rankings SET seconds = ? WHERE id = ?", [(seconds, self.id)])

    def set_conditions(self, conditions: Iterable[tuple[str, str]]) -> None:
        """The parts of the query, each with the digest of the settings of its scores."""
        rows = [(self.id, position, encodable(text), digest) for position, (text, digest) in enumerate(conditions)]
        self._database.write("INSERT OR REPLACE INTO ranking_conditions VALUES (?, ?, ?, ?)", rows)

    def conditions(self) -> list[tuple[str, str]]:
        """What `set_conditions` was given; empty where conditions were never scored."""
        statement = "SELECT text, settings FROM ranking_conditions WHERE ranking = ? ORDER BY position"
        return [(text, digest) for text, digest in self._database.read(statement, (self.id,))]

    def set_near_duplicates(self, groups: Iterable[Sequence[int]]) -> None:
        """Positions of images that are nearly the same, in groups."""
        rows = [(self.id, position, number) for number, group in enumerate(groups) for position in group]
        self._database.write("INSERT OR REPLACE INTO ranking_near_duplicates VALUES (?, ?, ?)", rows)

    def near_duplicates(self) -> list[tuple[int, ...]]:
        """What `set_near_duplicates` was given."""
        statement = "SELECT number, position FROM ranking_near_duplicates WHERE ranking = ? ORDER BY position"
        groups: dict[int, list[int]] = defaultdict(list)
        for number, position in self._database.read(statement, (self.id,)):
            groups[number].append(position)
        return [tuple(group) for group in groups.values()]
