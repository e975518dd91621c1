"""Journal: scores kept on disk as they come, so that an interrupted ranking continues where it stopped.

One append-only file for each ranking (a query, the settings and the weights), one JSON line for each image. Images are
identified by content, so moved and renamed files are recognized and equal files are scored once. Each line is written
at once and so survives `kill -9`; fsync runs every two seconds, so a power cut costs at most the last two. A line cut
short is dropped.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from lychee_rerank.errors import JournalError, PictureProblem
from lychee_rerank.images.files import MAX_BYTES
from lychee_rerank.results import ImageScore
from lychee_rerank.text.score_parser import ParsedScore

logger = logging.getLogger(__name__)

_SYNC_INTERVAL_S = 2.0
_SAMPLE_BYTES = 2**16
_SAMPLES_PER_SHARD = 16
_JOURNAL_STEM = re.compile("[0-9a-f]{32}")  # as `journal_path` names them
_blake2b = partial(hashlib.blake2b, digest_size=16)


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """One file to score: `index` is its position in the input, `key` the hash of its content (None if unreadable)."""

    index: int
    path: str
    key: str | None


class Journal:
    """The scores of one ranking by image key. Memory holds an offset into the file for each image, not the score.

    `about` goes into the first line, for people. `fresh` discards the old scores. Raises JournalError where another
    run has the same journal open, and wherever the file cannot be written.
    """

    def __init__(self, path: Path, *, about: dict[str, str] | None = None, fresh: bool = False) -> None:
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"))
        with _as_journal_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            if fresh:
                path.unlink(missing_ok=True)
            self._offsets = _read_offsets(path)
            self._writer = path.open("ab", buffering=0)
            self._reader = path.open("rb")
        self._last_sync = time.monotonic()
        if self._writer.tell() == 0:
            self._append({"about": about or {}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, key: str | None) -> bool:
        return key in self._offsets

    def get(self, key: str) -> ImageScore:
        """The score of an image. Raises KeyError where there is none."""
        self._reader.seek(self._offsets[key])
        return _to_result(json.loads(self._reader.readline())["result"])

    def add(self, key: str, result: ImageScore) -> None:
        """Keep a score. An image that already has one keeps that."""
        if key not in self._offsets:
            self._offsets[key] = self._append({"picture": key, "result": dataclasses.asdict(result)})

    def close(self) -> None:
        try:
            os.fsync(self._writer.fileno())
        finally:
            self._writer.close()
            self._reader.close()
            self._lock.release()

    def _append(self, entry: dict[str, object]) -> int:
        """Write one line and return its offset."""
        offset = self._writer.seek(0, os.SEEK_END)
        line = json.dumps(entry).encode() + b"\n"
        with _as_journal_error(self._path):
            if self._writer.write(line) < len(line):  # a full disk took a part: cut it off, or it spoils the next line
                self._writer.truncate(offset)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._last_sync > _SYNC_INTERVAL_S:
                os.fsync(self._writer.fileno())
                self._last_sync = time.monotonic()
        return offset


@contextmanager
def _as_journal_error(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout as error:
        raise JournalError("Another run is scoring this query already; wait for it or stop it.") from error
    except OSError as error:
        reason = error.strerror or error
        raise JournalError(f"Scores cannot be kept in {path.parent} (see --journal): {reason}.") from error


def _read_offsets(path: Path) -> dict[str, int]:
    """Where each image's line begins. Cuts off an incomplete last line, so that the next one starts on its own."""
    path.touch()
    offsets: dict[str, int] = {}
    offset = damaged = 0
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                if "about" not in entry:
                    _to_result(entry["result"])
                    offsets[str(entry["picture"])] = offset
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                damaged += 1
            offset += len(line)
        file.truncate(offset)
    if damaged:
        logger.warning("Damaged lines in the journal are left out, and their pictures scored again: %d.", damaged)
    return offsets


def _to_result(fields: dict[str, object]) -> ImageScore:
    """The inverse of `dataclasses.asdict`. Raises several errors for damage."""
    parsed, problem = fields.pop("parsed"), fields.pop("problem")
    fields["score"] = float(fields["score"])  # type: ignore[arg-type]
    if isinstance(parsed, dict):
        parsed["span"] = tuple(parsed["span"]) if parsed["span"] else None
        fields["parsed"] = ParsedScore(**parsed)
    if isinstance(problem, dict):
        fields["problem"] = PictureProblem(**problem)
    for name in ("notes", "token_ids"):
        fields[name] = tuple(fields[name])  # type: ignore[arg-type]
    return ImageScore(**fields)  # type: ignore[arg-type]


def score_missing(
    files: Sequence[ImageFile], journal: Journal, stream: Callable[[Iterator[str]], Iterator[ImageScore]]
) -> Iterator[ImageScore]:
    """The result of every file, in input order; only those that the journal does not hold go through `stream`.

    `stream` takes paths and gives one result for each, in their order (`Reranker.stream` with its query bound).
    A failure is not kept, so the next run tries that image again.
    """
    missing: dict[str | int, str] = {}  # the path of the first of equal files
    for file in files:
        if file.key not in journal:
            missing.setdefault(file.key or file.index, file.path)
    results = iter(stream(iter(missing.values())))
    failed: dict[str | int, ImageScore] = {}
    for file in files:
        identity = file.key or file.index
        if file.key is not None and file.key in journal:
            result = journal.get(file.key)
        elif identity in failed:
            result = failed[identity]
        else:
            result = next(results)
            if result.problem is not None:
                failed[identity] = result
            elif file.key is not None:
                journal.add(file.key, result)
        yield dataclasses.replace(result, index=file.index, name=file.path)


def hash_file(path: str | Path) -> str | None:
    """The hash of a file's content; None where the file cannot be read or is too large to be scored."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return None
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, _blake2b).hexdigest()
    except OSError:
        return None


def fingerprint(folder: Path) -> str:
    """Identifies a checkpoint wherever it lies: a hash of its JSON files and of samples spread over the weights.

    Hashing 16 GB would take longer than scoring; two trainings differ everywhere, so samples are enough.
    """
    digest = _blake2b()
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for offset in range(0, size, max(_SAMPLE_BYTES, size // _SAMPLES_PER_SHARD)):
                file.seek(offset)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def journal_path(folder: Path, **settings: str) -> Path:
    """The journal of one ranking: the same settings, in any order, always give the same file."""
    digest = _blake2b(json.dumps(settings, sort_keys=True, ensure_ascii=True).encode())
    return folder / f"{digest.hexdigest()}.jsonl"


def prune(folder: Path, *, days: float = 30) -> None:
    """Delete journals that no run has used for `days`; other files are left alone."""
    oldest = time.time() - days * 86_400
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):  # another run may do the same at this moment, and what cannot be deleted stays
            if _JOURNAL_STEM.fullmatch(path.stem) and path.stat().st_mtime < oldest:
                path.unlink()
                path.with_suffix(".lock").unlink()
