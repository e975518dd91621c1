"""The journal: what was scored is kept as it comes, so that an interrupted ranking goes on where it stopped.

One file for each ranking (a query, the settings and the weights that scored it), one JSON line for each picture,
only ever appended to. A picture is known by its content, so moved and renamed files are found again and two equal
files are scored once. Each line is handed to the operating system at once and so survives `kill -9`; the disk is
told to store it every two seconds, so a power cut costs at most the last moments. A line cut short is dropped.
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
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from lychee_rerank.errors import JournalError, PictureProblem
from lychee_rerank.images.load import MAX_BYTES
from lychee_rerank.results import ImageScore
from lychee_rerank.text.score_parser import ParsedScore

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_SYNCS = 2.0
_PIECE = 2**20
_SAMPLE = 2**16
_SAMPLES_PER_SHARD = 16
_JOURNAL_NAME = re.compile("[0-9a-f]{32}")  # what `journal_path` gives


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """One file to score: `index` is its place in the input, `key` tells its content (None where it cannot be read)."""

    index: int
    path: str
    key: str | None


class Journal:
    """The scores kept of one ranking. Memory holds a place in the file for each picture, not the scores.

    `about` is put into the first line, for people. `fresh` begins anew. Raises JournalError where another run has the
    same journal open.
    """

    def __init__(self, path: Path, *, about: dict[str, str] | None = None, fresh: bool = False) -> None:
        self._lock = _locked(path)
        with _told(path):
            if fresh:
                path.unlink(missing_ok=True)
            self._places = _read_places(path)
            self._writer = path.open("ab", buffering=0)
            self._reader = path.open("rb")
        self._path = path
        self._synced = time.monotonic()
        if self._writer.tell() == 0:
            self._append({"about": about or {}})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> ImageScore:
        """The score kept for a picture. Raises KeyError where there is none."""
        self._reader.seek(self._places[key])
        return _result_from(json.loads(self._reader.readline())["result"])

    def add(self, key: str, result: ImageScore) -> None:
        """Keeps a score. A picture that is already there keeps the score it has."""
        if key not in self._places:
            self._places[key] = self._append({"picture": key, "result": dataclasses.asdict(result)})

    def close(self) -> None:
        try:
            os.fsync(self._writer.fileno())
        finally:
            self._writer.close()
            self._reader.close()
            self._lock.release()

    def _append(self, line: dict[str, object]) -> int:
        place = self._writer.seek(0, os.SEEK_END)
        with _told(self._path):
            self._write(json.dumps(line).encode() + b"\n", place)
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._writer.fileno())
                self._synced = time.monotonic()
        return place

    def _write(self, line: bytes, place: int) -> None:
        """A full disk may take half of a line: that half is cut off again, so that the next line starts on its own."""
        if self._writer.write(line) < len(line):
            self._writer.truncate(place)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses, as a JournalError that names the folder."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise JournalError(f"Scores cannot be kept in {path.parent} (see --journal): {why}.") from error


def _locked(path: Path) -> FileLock:
    lock = FileLock(path.with_suffix(".lock"))
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise JournalError("Another run is scoring this query already; wait for it or stop it.") from error
    return lock


def _read_places(path: Path) -> dict[str, int]:
    """Where each picture's line begins. Cuts off a torn last line, so that the next line starts on its own."""
    path.touch()
    places: dict[str, int] = {}
    whole = damaged = 0
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                if key := _key_in(line):
                    places[key] = whole
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                damaged += 1
            whole += len(line)
        file.truncate(whole)
    if damaged:
        _log.warning("Damaged lines in the journal are left out, and their pictures scored again: %d.", damaged)
    return places


def _key_in(line: bytes) -> str | None:
    """The picture that a line holds a whole score of; None for the first line. Raises many things for damage."""
    entry = json.loads(line)
    if "about" in entry:
        return None
    _result_from(entry["result"])
    return str(entry["picture"])


def _result_from(fields: dict[str, object]) -> ImageScore:
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
    pictures: Sequence[ImageFile], journal: Journal, stream: Callable[[Iterator[str]], Iterator[ImageScore]]
) -> Iterator[ImageScore]:
    """Every picture's outcome, in input order; only what the journal does not hold yet goes through `stream`.

    `stream` takes paths and gives one result for each, in their order (`Reranker.stream` with its query bound).
    A picture that could not be scored is not kept, so the next run tries it again.
    """
    fresh = _to_score(pictures, journal)
    results = iter(stream(picture.path for picture in fresh.values()))
    failed: dict[str, ImageScore] = {}
    for picture in pictures:
        key = picture.key or ""
        if picture.index in fresh:
            result = next(results)
            if result.problem is not None:
                failed[key] = result
            elif key:
                journal.add(key, result)
        else:
            result = journal.get(key) if key in journal else failed[key]
        yield dataclasses.replace(result, index=picture.index, name=picture.path)


def _to_score(pictures: Sequence[ImageFile], journal: Journal) -> dict[int, ImageFile]:
    """The pictures without a score, by index; of equal ones the first. One that cannot be read is equal to none."""
    first: dict[str | int, ImageFile] = {}
    for picture in pictures:
        if picture.key is None or picture.key not in journal:
            first.setdefault(picture.key or picture.index, picture)
    return {picture.index: picture for picture in first.values()}


def hash_file(path: str | Path) -> str | None:
    """The hash of a file's content; None where the file cannot be read or is too large to be scored."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return None
        with Path(path).open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()


def fingerprint(folder: Path) -> str:
    """Tells two checkpoints apart, wherever they lie: from their small files and samples all through the weights.

    Hashing 16 GB would take longer than scoring; two trainings differ everywhere, so samples are enough.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for place in range(0, size, max(_SAMPLE, size // _SAMPLES_PER_SHARD)):
                file.seek(place)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def journal_path(folder: Path, **settings: str) -> Path:
    """The journal for one ranking: the same settings, in any order, always give the same file."""
    told = json.dumps(settings, sort_keys=True, ensure_ascii=True).encode()
    return folder / f"{hashlib.blake2b(told, digest_size=16).hexdigest()}.jsonl"


def prune(folder: Path, *, days: float = 30) -> None:
    """Deletes journals that no run has used for `days`, so that they do not pile up; no other file is touched."""
    oldest = time.time() - days * 86_400
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):  # another run may do the same at this moment, and what cannot be deleted stays
            if _JOURNAL_NAME.fullmatch(path.stem) and path.stat().st_mtime < oldest:
                path.unlink()
                path.with_suffix(".lock").unlink()
