"""Scores from the journals that versions before the store kept: read once, then left alone.

There was one file a ranking, `{hash of its settings}.jsonl`, one JSON line an image:
{"picture": content hash, "result": the fields of an ImageScore}.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from typer import get_app_dir

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)  # what reading damaged JSON raises
_SETTINGS = ("fit", "method", "prompt", "weights")
# Images of other kinds are prepared differently now, so their old scores are not used.
_UNCHANGED_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")


def old_journal_folder() -> Path:
    """Where journals were kept by default."""
    return Path(get_app_dir("lychee-rerank")) / "journal"


def journal_folders(store: Path | None) -> tuple[Path, ...]:
    """Where journals may lie: in the folder of the store, in that named by LYCHEE_JOURNAL, and in the default one."""
    named = os.environ.get("LYCHEE_JOURNAL")
    return tuple(dict.fromkeys(filter(None, (store, Path(named) if named else None, old_journal_folder()))))


def find_journals(folders: Iterable[Path], settings: Mapping[str, object]) -> list[Path]:
    """The journals of a ranking with these settings, at most one in each folder."""
    described = json.dumps({name: settings[name] for name in _SETTINGS}, sort_keys=True)
    name = f"{hashlib.blake2b(described.encode(), digest_size=16).hexdigest()}.jsonl"
    return [folder / name for folder in folders if os.path.isfile(folder / name)]


def all_journals(folders: Iterable[Path]) -> list[Path]:
    """Every journal; other files of that suffix are a person's own."""
    return [path for folder in folders for path in folder.glob("[0-9a-f]" * 32 + ".jsonl")]


def read_journal(path: Path, convert: Callable[[dict[str, Any]], Result]) -> Iterator[tuple[str, Result]]:
    """(content hash, converted result) of every score; damaged lines are passed over and counted in the log."""
    damaged = 0
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    if "about" not in entry and _is_usable(entry["result"]):
                        yield str(entry["picture"]), convert(entry["result"])
                except DAMAGE:
                    damaged += 1
    except OSError as error:
        logger.warning("The old scores in %s cannot be read: %s", path, error)
    if damaged:
        logger.warning("Damaged lines in %s are left out, and their pictures scored again: %d.", path.name, damaged)


def _is_usable(fields: Mapping[str, Any]) -> bool:
    return fields["problem"] is None and fields["name"].lower().endswith(_UNCHANGED_SUFFIXES)
