"""Every score ever made, kept on disk: found again by what was scored and how, never by names or dates."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self

from lychee_rerank.errors import StoreError
from lychee_rerank.images.load import PREPARATION_VERSION
from lychee_rerank.rankings.database import Database, data_folder
from lychee_rerank.rankings.old_journals import DAMAGE, all_journals, find_journals, journal_folders, read_journal
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.results import ImageScore
from lychee_rerank.text.query import Query
from lychee_rerank.text.score_parser import PARSER_VERSION, ParsedScore

# Not the fields of the ranking that it was made in (index, name, rank). A problem is never kept.
_FIELDS = ("score", "method", "answer", "parsed", "probability", "seconds", "notes", "token_ids", "finished")
_IMPORTED_AT_ONCE = 1000


def score_settings(reranker: Reranker, query: Query, options: ScoringOptions | None = None) -> dict[str, object]:
    """All that can change a score besides the image: the prompt, which holds query and instruction, the method, the
    fit, the weights and their type, and the versions of the code that prepares images and reads answers.
    """
    options = options or reranker.options
    dtype = reranker.device_map_plan.dtype
    return {
        # Scores in BF16 were kept before there was another type, and without a name for it.
        **({} if dtype in ("", "bfloat16") else {"dtype": dtype}),
        "prompt": reranker.prompt_text(query, options=options),
        "method": options.method,
        "fit": options.fit,
        "weights": reranker.checkpoint.fingerprint,
        "preparation": PREPARATION_VERSION,
        "parser": PARSER_VERSION,
    }


def open_store(folder: Path | None = None, tables: str = "") -> ScoreStore:
    """The store in `folder`, by default the person's own. One that cannot be used is reported, and nothing is kept.

    `tables` are created in addition to those of scores.
    """
    folder = Path(os.path.expanduser(folder)) if folder else data_folder()  # no shell expands --store=~/kept
    return ScoreStore(Database(folder, tables), journal_folders(folder))


class ScoreStore:
    """The scores in a database. `journals`: folders that may hold scores of versions before it."""

    def __init__(self, database: Database, journals: tuple[Path, ...] = ()) -> None:
        self.database = database
        self._journals = journals

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def scores(self, settings: Mapping[str, object], *, fresh: bool = False) -> KeptScores:
        """The scores made with these settings; `fresh` deletes them."""
        scores = KeptScores(self.database, settings)
        for journal in find_journals(self._journals, settings):
            self._import(journal, scores)
        if fresh:
            scores.clear()
        return scores

    def count(self) -> int:
        ((count,),) = self.database.read("SELECT COUNT(*) FROM scores") or [(0,)]
        return int(count)

    def clear(self) -> None:
        """Delete every score; those in old journals are not used any more. Raises StoreError where that fails."""
        journals = [(path.name,) for path in all_journals(self._journals)]
        tables = ("scores", "settings")
        if not (self._mark_as_read(journals) and all(self.database.write(f"DELETE FROM {table}") for table in tables)):
            raise StoreError(self.database.problem)
        self.database.delete_damaged_files()
        self.database.shrink()

    def _import(self, journal: Path, scores: KeptScores) -> None:
        if self.database.read("SELECT 1 FROM old_journals WHERE name = ?", (journal.name,)):
            return
        results = read_journal(journal, _to_result)
        batches = iter(lambda: list(islice(results, _IMPORTED_AT_ONCE)), [])
        if all(scores.add_all(batch) for batch in batches):
            self._mark_as_read([(journal.name,)])

    def _mark_as_read(self, names: Iterable[tuple[str]]) -> bool:
        return self.database.write("INSERT OR IGNORE INTO old_journals (name) VALUES (?)", names)


class KeptScores:
    """The scores made with one setting, by the content hash of the image. Safe to share between threads.

    digest: of the setting; the database has its description.
    """

    def __init__(self, database: Database, settings: Mapping[str, object]) -> None:
        self._database = database
        description = json.dumps(settings, sort_keys=True)
        self.digest = hashlib.blake2b(description.encode(), digest_size=16).hexdigest()
        if not database.read("SELECT 1 FROM settings WHERE digest = ?", (self.digest,)):
            database.write("INSERT OR IGNORE INTO settings VALUES (?, ?)", [(self.digest, description)])
        self._is_usable = True

    def get(self, image: str) -> ImageScore | None:
        """The score of an image, without its name and position; None where there is none."""
        if not self._is_usable:
            return None
        statement = "SELECT result FROM scores WHERE settings = ? AND image = ?"
        rows = self._database.read(statement, (self.digest, image))
        try:
            return _to_result(json.loads(rows[0][0])) if rows else None
        except DAMAGE:
            self._database.write("DELETE FROM scores WHERE settings = ? AND image = ?", [(self.digest, image)])
            return None

    def add(self, image: str, result: ImageScore) -> bool:
        """Keep a score; an image that has one keeps that. False where it could not be kept."""
        return self.add_all([(image, result)])

    def add_all(self, results: Iterable[tuple[str, ImageScore]]) -> bool:
        """Keep scores of several images, all or none."""
        return self._write("INSERT OR IGNORE", results)

    def update(self, image: str, result: ImageScore) -> bool:
        """Replace the score of an image by the same one with its answer completed."""
        return self._write("INSERT OR REPLACE", [(image, result)])

    def clear(self) -> None:
        """Delete these scores; those that cannot be deleted are not used any more."""
        self._is_usable = self._database.write("DELETE FROM scores WHERE settings = ?", [(self.digest,)])

    def _write(self, verb: str, results: Iterable[tuple[str, ImageScore]]) -> bool:
        statement = f"{verb} INTO scores (settings, image, result) VALUES (?, ?, ?)"
        rows = ((self.digest, image, json.dumps(_to_fields(result)).encode()) for image, result in results)
        return self._is_usable and self._database.write(statement, rows)


def _to_fields(result: ImageScore) -> dict[str, Any]:
    fields = dataclasses.asdict(result)
    return {name: fields[name] for name in _FIELDS}


def _to_result(fields: dict[str, Any]) -> ImageScore:
    """The inverse of `_to_fields`. Raises those of DAMAGE."""
    fields = {name: fields[name] for name in _FIELDS}
    parsed = fields["parsed"]
    fields["parsed"] = ParsedScore(**parsed | {"span": parsed["span"] and tuple(parsed["span"])}) if parsed else None
    fields |= {"notes": tuple(fields["notes"]), "token_ids": tuple(fields["token_ids"])}
    if not 0.0 <= fields["score"] <= 10.0:
        raise ValueError(f"{fields['score']} is no score")
    return ImageScore(index=0, name="", **fields)
