"""Bringing the bytes of a hub's files here: several files at once, going on where a connection broke, checksums.

The hub's own library starts a broken file anew, which at 5 GB a file is no way to fetch over an ordinary line; so the
bytes are fetched here, into the places where that library would put them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock

import httpx2

from lychee_rerank.errors import DownloadError, DownloadStoppedError
from lychee_rerank.weights.hub import RemoteFile, RemoteSnapshot, http_error_message

logger = logging.getLogger(__name__)

_FILES_AT_ONCE = 4
_SECONDS_BETWEEN_REPORTS = 0.25
_SPEED_OVER_SECONDS = 10
_SECONDS_OF_SILENCE = 15
_WAITS = (0.5, 1, 2, 4, 8, 16, 30)  # seconds before each new try; all of them again after every byte gained
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Progress:
    """How far a download is. `done_bytes` counts what was there before; `file` is the one that last grew."""

    done_bytes: int
    total_bytes: int
    bytes_per_second: float | None
    seconds_left: float | None
    file: str


class Transfer:
    """Brings the files of one listing into their places."""

    def __init__(self, listing: RemoteSnapshot) -> None:
        self._listing = listing
        self._files = {listing.kept(file): file for file in listing.files}  # equal contents are one file
        there = (min(_size(listing.present(file) or listing.part(file)), file.size) for file in self._files.values())
        self._meter = _ProgressTracker(sum(file.size for file in self._files.values()), sum(there))
        self._halt = Event()

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return self._meter.missing

    def run(self, report: Callable[[Progress], None], stop: Event) -> None:
        """All files, small ones first. Raises DownloadStoppedError soon after `stop` is set, DownloadError, OSError."""
        files = sorted(self._files.values(), key=lambda file: file.size)
        with (
            httpx2.Client(timeout=_SECONDS_OF_SILENCE, follow_redirects=True) as client,
            ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="download") as pool,
        ):
            waiting = {pool.submit(self._bring, client, file) for file in files}
            try:
                while waiting:
                    ended, waiting = wait(waiting, _SECONDS_BETWEEN_REPORTS, FIRST_EXCEPTION)
                    report(self._meter.read())
                    for each in ended:
                        each.result()
                    if stop.is_set():
                        raise DownloadStoppedError("The download was stopped; what was fetched is kept.")
            finally:
                self._halt.set()
                pool.shutdown(cancel_futures=True)

    def _bring(self, client: httpx2.Client, file: RemoteFile) -> None:
        if self._is_there(file):
            return
        part = self._listing.part(file)
        self._fill(client, file, part)
        if not self._is_right(file, part):
            self._discard(file, part)
            raise DownloadError(
                f"{file.name} arrived damaged: its checksum is not the one that {self._listing.host} names. It was "
                "deleted; try again to fetch it anew, or from elsewhere."
            )
        part.replace(self._listing.kept(file))

    def _is_there(self, file: RemoteFile) -> bool:
        place = self._listing.present(file)
        if place is None:
            return False
        if self._is_right(file, place):
            return True
        logger.warning("%s on this machine is damaged or outdated, so it is fetched anew.", file.name)
        self._discard(file, place)
        self._listing.kept(file).unlink(missing_ok=True)
        return False

    def _fill(self, client: httpx2.Client, file: RemoteFile, part: Path) -> None:
        """Ask for what is missing until nothing is, waiting longer and longer while nothing comes."""
        part.touch()
        waits, most = iter(_WAITS), 0
        while _size(part) < file.size:
            try:
                self._append(client, file, part)
                why = "it ended early"
            except (httpx2.RequestError, _BusyError) as error:
                why = str(error) or type(error).__name__
            except _SizeMismatchError as lie:
                self._discard(file, part)
                raise DownloadError(
                    f"{self._listing.host} lists {file.name} with {file.size} bytes and sends {lie}, so it cannot be "
                    "trusted: try again later, or fetch from elsewhere."
                ) from lie
            if _size(part) >= file.size:
                return
            if _size(part) > most:
                waits, most = iter(_WAITS), _size(part)
            if (seconds := next(waits, None)) is None:
                raise DownloadError(
                    f"The connection to {self._listing.host} keeps breaking off ({why}): check it and try again; "
                    "what was fetched is kept."
                )
            logger.debug("%s broke off (%s); going on in %s s.", file.name, why, seconds)
            self._halt.wait(seconds)
            self._go_on()

    def _append(self, client: httpx2.Client, file: RemoteFile, part: Path) -> None:
        have = _size(part)
        headers = {**self._listing.headers, "Accept-Encoding": "identity", "Range": f"bytes={have}-"}
        with client.stream("GET", file.url, headers=headers) as answer, part.open("r+b") as kept:
            self._check_answer(answer, file)
            start = have if answer.status_code == HTTPStatus.PARTIAL_CONTENT else 0  # some servers know no ranges
            self._meter.add(start - have, file.name)
            kept.truncate(start)
            kept.seek(start)
            for chunk in answer.iter_raw():
                self._go_on()
                if kept.tell() + len(chunk) > file.size:
                    raise _SizeMismatchError("more")
                kept.write(chunk)
                self._meter.add(len(chunk), file.name)

    def _check_answer(self, answer: httpx2.Response, file: RemoteFile) -> None:
        if answer.status_code in _PASSING:
            raise _BusyError(f"it answers {answer.status_code}")
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _SizeMismatchError("fewer")
        if not answer.is_success:
            code = answer.headers.get("X-Error-Code", "")
            what = f'"{self._listing.repo}" ({file.name})'
            raise DownloadError(
                http_error_message(self._listing.source, self._listing.host, what, answer.status_code, code)
            )
        announced = answer.headers.get("Content-Range", answer.headers.get("Content-Length", "")).rpartition("/")[2]
        if announced.isdecimal() and int(announced) != file.size:
            raise _SizeMismatchError(announced)

    def _is_right(self, file: RemoteFile, place: Path) -> bool:
        if _size(place) != file.size or not file.checksum:
            return _size(place) == file.size
        git = len(file.checksum) == 40
        digest = hashlib.sha1(b"blob %d\0" % file.size) if git else hashlib.sha256()
        with place.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                self._go_on()
                digest.update(chunk)
        return digest.hexdigest() == file.checksum

    def _discard(self, file: RemoteFile, place: Path) -> None:
        self._meter.add(-min(_size(place), file.size), file.name)
        place.unlink()

    def _go_on(self) -> None:
        if self._halt.is_set():
            raise DownloadStoppedError("The download was stopped.")


class _BusyError(Exception):
    """The server asks to come back later."""


class _SizeMismatchError(Exception):
    """The server sends another number of bytes than the hub lists."""


class _ProgressTracker:
    """Counts bytes, from several threads."""

    def __init__(self, total: int, done: int) -> None:
        self._lock = Lock()
        self._total, self._done, self._fetched, self._file = total, done, 0, ""
        self._seen = deque([(time.monotonic(), 0)])

    @property
    def missing(self) -> int:
        return self._total - self._done

    def add(self, count: int, file: str) -> None:
        with self._lock:
            self._done += count
            self._fetched += max(count, 0)
            self._file = file

    def read(self) -> Progress:
        with self._lock:
            now, done, fetched, file = time.monotonic(), self._done, self._fetched, self._file
        self._seen.append((now, fetched))
        while self._seen[1][0] < now - _SPEED_OVER_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        speed = (fetched - before) / (now - then) if fetched > before and now > then else None
        return Progress(done, self._total, speed, (self._total - done) / speed if speed else None, file)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
